package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"moat/internal/change"
	"moat/internal/kernel"
	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/session"
)

// Force is the environment variable that makes the guard let everything through.
const Force = "MOAT_FORCE"

// Options say for whom a Guard speaks.
type Options struct {
	// Warn is where warnings go, a line each; nil drops them.
	Warn io.Writer
	// Protect are entries like those of moat.toml, in addition to them.
	Protect []Protected
	// Root is put before the guard's own files; "" is the machine.
	Root string
}

// Guard is the gate for changes that this process makes. It is not safe for use
// by several goroutines.
type Guard struct {
	o       Options
	caller  session.Caller
	asked   bool
	parties []*party
	entries []Protected
	warned  []string
}

var _ kernel.Gate = (*Guard)(nil)

// New gives the guard of this process. It looks nothing up before it is asked.
func New(o Options) *Guard { return &Guard{o: o, caller: session.Here()} }

// Watches implements kernel.Gate: it says no to a change that by itself cannot
// matter to anybody who is protected.
func (g *Guard) Watches(s *change.Script) bool {
	if !slices.ContainsFunc(s.Ops, func(op change.Op) bool { return !harmless(&op) }) {
		return false
	}
	g.lookUp()
	return g.concerns(s) && !g.isTransient(s)
}

// concerns reports whether a change that is not harmless can matter to somebody.
func (g *Guard) concerns(s *change.Script) bool {
	if slices.ContainsFunc(g.entries, func(e Protected) bool { return familyOf(e.From.Addr()) == s.Family }) {
		return true
	}
	return slices.ContainsFunc(g.parties, func(p *party) bool {
		return p.family() == s.Family && slices.ContainsFunc(s.Ops, func(op change.Op) bool { return !harmless(&op) && p.touches(&op) })
	})
}

// lookUp finds, once, who is to be protected. What cannot be looked up protects
// nobody, and is told.
func (g *Guard) lookUp() {
	if g.asked {
		return
	}
	g.asked = true
	sessions, err := session.Of(g.caller)
	g.trouble("who works here cannot be told", err)
	for _, s := range sessions {
		p, err := newParty(s)
		g.trouble("a connection cannot be looked up", err)
		if err == nil {
			more, err := carriers(p)
			g.trouble("what carries a connection cannot be looked up", err)
			g.parties = append(append(g.parties, p), more...)
		}
	}
	entries, err := readConfig(g.o.Root + ConfigFile)
	g.trouble("nothing of it is protected", err)
	g.entries = append(entries, g.o.Protect...)
	if len(g.entries) > 0 && len(sessions) == 0 && g.caller.OnConsole() {
		g.entries = nil // at the console nothing is held up
	}
}

// Judge implements kernel.Gate: it refuses, with a *Refusal, a change after which
// somebody who is protected gets through no more.
func (g *Guard) Judge(c *kernel.Change) (made func(), err error) {
	load.NameSets(c.Before)
	load.NameSets(c.After)
	j := &judgement{change: c, family: c.Script.Family}
	for _, p := range g.parties {
		if p.family() == j.family {
			j.parties = append(j.parties, p)
		}
	}
	for i := range g.entries {
		if familyOf(g.entries[i].From.Addr()) == j.family {
			list, err := g.entries[i].parties(rulesOf(c.Script), c.Before, c.After)
			g.trouble("a protected network cannot be looked up", err)
			j.parties = append(j.parties, list...)
		}
	}
	j.run()
	if len(j.lost) == 0 {
		g.warn(j.doubts()) // now: if it cuts off after all, nobody would see it later
		return nil, nil
	}
	r := j.refusal()
	if why := g.forced(); why != "" {
		g.warn([]string{"done all the same (" + why + "): " + r.Summary()})
		return func() { g.log(r, why) }, nil
	}
	r.findRemedy(j)
	g.log(r, "")
	return nil, r
}

// forced says by what the admin insists; "" if not.
func (g *Guard) forced() string {
	switch on, err := Off(g.o.Root); {
	case os.Getenv(Force) == "1":
		return Force + "=1"
	case on:
		return "moat guard off"
	case err != nil && !errors.Is(err, os.ErrPermission):
		g.trouble("whether the guard is off cannot be read", err)
	}
	return ""
}

func (g *Guard) warn(lines []string) {
	if g.o.Warn == nil {
		return
	}
	for _, line := range lines {
		if slices.Contains(g.warned, line) { // judged again, since another writer was faster
			continue
		}
		g.warned = append(g.warned, line)
		fmt.Fprintln(g.o.Warn, "moat: warning: "+line) // if that fails there is nobody left to tell
	}
}

// trouble tells why the guard cannot do its work. The change goes on: a guard
// that fails must not stand in the way.
func (g *Guard) trouble(what string, err error) {
	if err != nil {
		g.warn([]string{"guard: " + what + ": " + err.Error()})
	}
}

// judgement is one change being judged.
type judgement struct {
	change  *kernel.Change
	family  rule.Family
	parties []*party
	before  []outcome // of all packets of all parties, as the rules are
	after   *trial
	lost    []outcome
	unsure  []outcome
}

func (j *judgement) run() {
	filled := filledSets(j.change.Before, j.change.After)
	zones, anyZone := zonesNamed(j.change.Before, j.change.After)
	rules, runs := portRules(j.change.Script, j.change.After, j.change.Before), maxRuns
	if len(j.parties) > manyParties {
		runs = maxRunsEach
	}
	for _, p := range j.parties {
		p.facts.filled = filled
		p.trackIn(zones, anyZone)
		p.runs = p.runsOf(rules, runs)
	}
	before := newTrial(j.change.Before, j.change.Script)
	j.before = tryAll(before, j.parties)
	for _, p := range j.parties {
		p.hungry, p.taken = before.hungry[p], before.taken[p]
	}
	j.after = newTrial(j.change.After, j.change.Script)
	j.lost, j.unsure = worse(j.before, tryAll(j.after, j.parties))
}

func tryAll(t *trial, parties []*party) (list []outcome) {
	for _, p := range parties {
		list = append(list, t.of(p)...)
	}
	return list
}

// loses gives what gets through before the change, but not with other rules.
func (j *judgement) loses(rs *rule.Ruleset) (*trial, []outcome) {
	t := newTrial(rs, j.change.Script)
	lost, _ := worse(j.before, tryAll(t, j.parties))
	return t, lost
}

// Who describes, a line each, the connections by which the caller works here and
// what else is protected.
func (g *Guard) Who() (own, protected []string) {
	g.lookUp()
	for _, p := range g.parties {
		own = append(own, p.describe())
	}
	for _, e := range g.entries {
		protected = append(protected, e.Text)
	}
	return own, protected
}
