package guard

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// Refusal is the error of a change that would cut off somebody. Nothing was
// changed.
type Refusal struct {
	Losses []Loss
	Remedy *remedy // nil: none was found
	family rule.Family
	who    []string // the parties that lose something, in words
	own    bool     // the caller's own connection is among them
}

// Loss is what would be lost, and by what.
type Loss struct {
	What string // "new connections from 203.0.113.7 to port 22, on their way in"
	By   string // the rule or policy with its place
}

// Barred says that the change was refused and not tried.
func (r *Refusal) Barred() bool { return true }

// refusal words what is lost; packets that are lost in the same place are one loss.
func (j *judgement) refusal() *Refusal {
	r := &Refusal{family: j.family}
	type loss struct {
		what []string
		by   string
		out  bool
	}
	var list []loss
	for i := range j.lost {
		o := &j.lost[i]
		if who := o.party.describe(); !slices.Contains(r.who, who) {
			r.who = append(r.who, who)
		}
		r.own = r.own || o.party.entry == nil
		what, by := o.what(), j.by(o)
		at := slices.IndexFunc(list, func(l loss) bool { return l.by == by && l.out == o.isOut() })
		if at < 0 {
			list = append(list, loss{by: by, out: o.isOut()})
			at = len(list) - 1
		}
		if !slices.Contains(list[at].what, what) {
			list[at].what = append(list[at].what, what)
		}
	}
	for _, l := range list {
		way := "on their way in"
		if l.out {
			way = "on their way out"
		}
		r.Losses = append(r.Losses, Loss{strings.Join(l.what, ", and ") + ", " + way, l.by})
	}
	return r
}

// what names the packets that an outcome is about.
func (o *outcome) what() string {
	if t := o.party.tunnel; t != nil && !o.isDiscovery() {
		return t.what(o.kind)
	}
	client := o.party.clients(o.party.From.Addr())
	if o.from != "" && !o.few {
		client += ", its ports " + o.from + ","
	}
	fresh := fmt.Sprintf("new connections from %s to port %d", client, o.party.Wire.Port())
	switch o.kind {
	case liveIn:
		return "this connection's packets"
	case liveOut:
		return "this connection's answers"
	case newIn, newGoesOn:
		return fresh
	case newOut, newAnswers:
		return "answers to " + fresh
	}
	return "IPv6 neighbour discovery, without which the link soon forgets this host"
}

// by names the rule or policy that decides.
func (j *judgement) by(o *outcome) string {
	r := &o.result
	if o.strays {
		return j.astray(o)
	}
	if r.By == (simulate.Place{}) {
		return "no rule: they would have no way to go"
	}
	return j.place(r.By, r.What, r.Policy)
}

func (j *judgement) place(at simulate.Place, what *rule.Rule, policy rule.Verdict) string {
	if what == nil {
		return fmt.Sprintf("the policy %s of %s, table %s: -P %s %s", policy.Name(), at.Chain, at.Table, at.Chain, policy.Name())
	}
	p := ext.Printer{Family: j.family}
	text.AppendRule(&p, at.Chain, what, text.NoCounters)
	return fmt.Sprintf("rule %d of %s, table %s: %s", at.Rule, at.Chain, at.Table, strings.TrimSuffix(string(p.B), "\n"))
}

// astray names the rule that sends a packet where the server does not listen.
func (j *judgement) astray(o *outcome) string {
	where := fmt.Sprintf("port %d, where the server does not listen", o.arrives.Port())
	if o.kind == liveIn {
		where = fmt.Sprintf("port %d, which is not this connection's", o.arrives.Port())
	}
	switch {
	case o.isDiscovery():
		return cmp.Or(j.translated(o, "which changes their hop limit from 255"), "no rule: their hop limit is not 255")
	case o.clashes:
		const does = "which hides from connection tracking that it knows the connection"
		return cmp.Or(j.translated(o, does), "no rule: connection tracking would take them for another connection of the same addresses")
	case o.noWay:
		to := o.packet.Dst.String()
		return cmp.Or(j.translated(o, "after which answers go to "+to+", to which this host has no way"), "no rule: this host has no way to "+to)
	case o.isSpent():
		return cmp.Or(j.translated(o, "which leaves them no hops"), "no rule: they would have no hops left")
	case o.isOut() && o.arrives == o.client, !o.isOut() && o.arrives == o.party.Server:
		return cmp.Or(j.translated(o, "which gives them another source"), "no rule: they would have another source")
	case o.isOut():
		does := "which sends them to " + o.arrives.Addr().String() + " instead of the client"
		return cmp.Or(j.translated(o, does), "no rule: they would not go to the client")
	case o.arrives.Addr() != o.party.Server.Addr():
		where = o.arrives.String() + ", which is not the server"
	}
	if by := j.translated(o, "which sends them to "+where); by != "" {
		return by
	}
	return "no rule any more that sends them to port " + strconv.Itoa(int(o.party.Server.Port())) + ": they come to " + where
}

// translated names the rule that leads a packet astray and says what it does; ""
// if there is none.
func (j *judgement) translated(o *outcome, does string) string {
	if l := j.after.leader(o); l != nil {
		s := &l.path[l.at]
		return j.place(s.Place, s.What, 0) + ", " + does
	}
	return ""
}

// leader is a rule that leads a packet astray.
type leader struct {
	who  *outcome // that meets the rule: the packet, or one that it answers
	path []simulate.Step
	at   int // step of the path
}

// leader finds the rule that leads a packet astray, one of the change's own before
// others; nil if there is none.
func (t *trial) leader(o *outcome) (first *leader) {
	for who := o; who != nil; who = who.after {
		path := t.path(who)
		for i := range path {
			switch l := (&leader{who, path, i}); {
			case !o.isLedBy(&path[i]):
			case t.isOwn(path[i].What):
				return l
			case first == nil:
				first = l
			}
		}
	}
	return first
}

// isLedBy reports whether a rule leads the packet astray.
func (o *outcome) isLedBy(s *simulate.Step) bool {
	if s.Match != packet.Yes || s.What == nil || s.After == nil {
		return false
	}
	_, untracks := s.What.Target.(*ext.CT)
	switch {
	case o.isDiscovery():
		return seemsRouted(s.After)
	case o.clashes:
		return untracks
	case o.noWay:
		return s.Table == "nat"
	case o.isSpent():
		return s.After.Has(packet.KnowTTL) && s.After.TTL <= 1
	}
	return s.Table == "nat" || untracks
}

// describe is the connection, or the entry of moat.toml.
func (p *party) describe() string {
	if p.entry != nil {
		return p.entry.Text + " (protected)"
	}
	state := "not tracked yet"
	switch {
	case !p.Live:
		state = "ended; new ones count"
	case p.untold:
		state = "state unknown"
	case len(p.tracked) > 0:
		state = packet.New.String()
		if t := &p.tracked[0]; t.Connection.Status&packet.StatusSeenReply != 0 || !t.Reply {
			state = packet.Established.String()
		}
	}
	device := ""
	if p.device != "" {
		device = ", in by " + p.device
	}
	if p.tunnel != nil {
		return p.tunnel.describe(state, device)
	}
	return fmt.Sprintf("%s -> %s %s%s, %s", p.Client, p.Server, protoName(p.Proto), device, state)
}

// Summary is the refusal in one line.
func (r *Refusal) Summary() string {
	var parts []string
	for _, l := range r.Losses {
		parts = append(parts, l.What+" would be lost by "+l.By)
	}
	return "session " + strings.Join(r.who, "; ") + ": " + strings.Join(parts, "; ")
}

// Error is the refusal as it is shown: several lines.
func (r *Refusal) Error() string {
	var b strings.Builder
	whom := "cut off your own connection"
	if !r.own {
		whom = "cut off who is protected"
	}
	b.WriteString("moat: refused, nothing was changed: this would " + whom)
	row := func(label, text string) { fmt.Fprintf(&b, "\n  %-8s %s", label, text) }
	for _, who := range r.who {
		row("session", who)
	}
	for _, l := range r.Losses {
		row("lost", l.What)
		row("by", l.By)
	}
	r.remedyRows(row)
	row("insist", Force+`=1 before the command, or "moat guard off" until the next boot`)
	return b.String()
}

// remedyRows prints the commands that make the change safe.
func (r *Refusal) remedyRows(row func(label, text string)) {
	m := r.Remedy
	if m == nil {
		row("remedy", "no command was found that makes this change safe")
		return
	}
	for i := range m.first {
		row("first", commandLine(r.family, &m.first[i]))
	}
	for i := range m.added {
		a := &m.added[i]
		line := strings.TrimPrefix(text.CommandLine(r.family, &change.Op{
			Kind: a.op.Kind, Table: "filter", Chain: a.op.Chain, Num: a.op.Num, Rule: a.op.Rule}), r.family.Program()+" ")
		row("add", fmt.Sprintf("%s   before line %d, table %s", line, a.before, a.op.Table))
	}
	if m.then != nil {
		row("then", commandLine(r.family, m.then))
	}
}

func commandLine(f rule.Family, op *change.Op) string { return text.CommandLine(f, op) }

// doubts are warnings of what may be lost: a line for each reason.
func (j *judgement) doubts() (lines []string) {
	var reasons []string
	what := map[string][]string{}
	for i := range j.unsure {
		o := &j.unsure[i]
		if o.party.isUntold() { // then nearly every address would be worth a warning
			continue
		}
		reason := j.doubtful(o)
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
		if w := o.what(); !slices.Contains(what[reason], w) {
			what[reason] = append(what[reason], w)
		}
	}
	for _, reason := range reasons {
		lines = append(lines, "whether "+strings.Join(what[reason], ", and ")+" get through is not certain: "+reason)
	}
	return lines
}

// doubtful says why an outcome is not certain.
func (j *judgement) doubtful(o *outcome) string {
	if o.few {
		return "from the client's ports " + o.from + " they are lost by " + j.by(o)
	}
	if o.late {
		return "after minutes connection tracking forgets what it saw only one side of, and then they are lost by " + j.by(o)
	}
	if d := o.result.Doubts; len(d) > 0 && d[0].What != nil {
		return "it hangs on " + d[0].Match + " in " + j.place(d[0].Place, d[0].What, 0)
	}
	if o.result.Verdict == simulate.Queue {
		return "a program decides, by " + j.by(o)
	}
	return "it hangs on what the guard does not know"
}
