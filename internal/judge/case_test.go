package judge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// spec is a rule as text: "-s 10.0.0.1 -j DROP" of a chain of a table.
type spec struct{ table, chain, text string }

// ruleset is a ruleset as text, so that it can be printed and cut down.
type ruleset struct {
	family rule.Family
	chains [][2]string          // table and name of user-defined chains
	drops  map[[2]string]string // policy of built-in chains, by table and name, where it is not ACCEPT
	rules  []spec
}

// tableOrder is the order in which tables are written.
var tableOrder = [...]string{"raw", "mangle", "nat", "filter", "security"}

// save gives the ruleset in save format.
func (r *ruleset) save(tracked bool) string {
	var b strings.Builder
	for _, table := range tableOrder {
		if table == "nat" && !tracked {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", table)
		for _, c := range rule.FindLayout(table).Chains {
			name := c.Hook.Chain()
			policy := r.drops[[2]string{table, name}]
			if policy == "" {
				policy = "ACCEPT"
			}
			fmt.Fprintf(&b, ":%s %s [0:0]\n", name, policy)
		}
		for _, c := range r.chains {
			if c[0] == table {
				fmt.Fprintf(&b, ":%s - [0:0]\n", c[1])
			}
		}
		for _, s := range r.rules {
			if s.table == table {
				fmt.Fprintf(&b, "-A %s %s\n", s.chain, s.text)
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// String gives the ruleset as commands.
func (r *ruleset) String() string {
	var b strings.Builder
	program := r.family.Program()
	for _, c := range r.chains {
		fmt.Fprintf(&b, "%s -t %s -N %s\n", program, c[0], c[1])
	}
	for _, table := range tableOrder {
		for _, c := range rule.FindLayout(table).Chains {
			if policy := r.drops[[2]string{table, c.Hook.Chain()}]; policy != "" {
				fmt.Fprintf(&b, "%s -t %s -P %s %s\n", program, table, c.Hook.Chain(), policy)
			}
		}
	}
	for _, s := range r.rules {
		fmt.Fprintf(&b, "%s -t %s -A %s %s\n", program, s.table, s.chain, s.text)
	}
	return b.String()
}

// loaded is a ruleset that the kernel has, and the simulator's idea of it.
type loaded struct {
	rules    *rule.Ruleset
	firewall *simulate.Firewall
}

// load gives the host a ruleset. The simulator gets it as the text says it or,
// with readBack, as the kernel has it.
func (h *host) load(r *ruleset, readBack bool) (*loaded, error) {
	var rs *rule.Ruleset
	err := h.under.Do(func() error {
		names := &netdb.DB{}
		script, err := text.ParseRestore(r.family, r.family.Program()+"-restore", []byte(r.save(h.tracked)), text.RestoreOptions{Counters: true}, names)
		if err != nil {
			return err
		}
		if err := h.kernel.Apply(script); err != nil {
			return err
		}
		if readBack {
			rs, err = h.kernel.Ruleset(r.family)
			resolve(rs, names)
			return err
		}
		rs, err = change.Apply(&rule.Ruleset{Family: r.family}, *script)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &loaded{rs, simulate.New(rs)}, nil
}

// resolve gives the sets of rules that were read their names.
func resolve(rs *rule.Ruleset, names *netdb.DB) {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, m := range r.Matches {
					if m, ok := m.(interface{ ResolveName(*netdb.DB) }); ok {
						m.ResolveName(names)
					}
				}
			}
		}
	}
}

// disagreement is what kernel and simulator do not agree on; packet is -1 when
// it is a counter, which many packets make.
type disagreement struct {
	packet int
	text   string
}

// judge sends packets through a ruleset and gives what kernel and simulator
// disagree on.
func (h *host) judge(r *ruleset, list []shot, readBack bool) ([]disagreement, error) {
	l, err := h.load(r, readBack)
	if err != nil {
		return nil, err
	}
	if err := h.send(list); err != nil {
		return nil, err
	}
	got, err := h.takeOutcomes()
	if err != nil {
		return nil, err
	}
	after, err := h.kernel.Ruleset(r.family)
	if err != nil {
		return nil, err
	}
	var out []disagreement
	counters := map[simulate.Place]counted{}
	for i := range list {
		p, way := h.told(&list[i])
		result := l.firewall.Walk(p, simulate.Options{Way: way})
		count(counters, &p, result.Trace)
		o, arrived := got[i+1]
		if differs := compare(&result, o, arrived); differs != "" {
			out = append(out, disagreement{i, differs + "\n" + trace(&result)})
		}
	}
	return append(out, compareCounters(after, counters)...), nil
}

// counted is what a rule or policy has counted by the simulator. TCPMSS and
// TCPOPTSTRIP together may leave the length of a packet untold: then the bytes
// are not compared.
type counted struct {
	rule.Counters
	untold bool
}

// count adds what the rules and policies of a trace have counted.
func count(counters map[simulate.Place]counted, p *packet.Packet, steps []simulate.Step) {
	length, told := p.Length, true
	for i := range steps {
		s := &steps[i]
		if s.Match == packet.Yes {
			c := counters[s.Place]
			counters[s.Place] = counted{rule.Counters{Packets: c.Packets + 1, Bytes: c.Bytes + uint64(length)}, c.untold || !told}
		}
		if s.After != nil {
			length, told = s.After.Length, s.After.Has(packet.KnowLength)
		}
	}
}

// compare says what differs between the simulator's result and what the end of
// the hooks has seen of the packet; "" if nothing does.
func compare(r *simulate.Result, o outcome, arrived bool) string {
	if r.Verdict == simulate.Unknown {
		return fmt.Sprintf("the simulator does not know: %+v", r.Doubts)
	}
	for _, s := range r.Trace {
		if s.Match == packet.Unknown {
			return fmt.Sprintf("the simulator does not know rule %d of %s %s", s.Rule, s.Table, s.Chain)
		}
	}
	if accepted := r.Verdict == simulate.Accept; accepted != arrived {
		return fmt.Sprintf("the simulator says %v by %+v, the kernel let it through: %v (%v)", r.Verdict, r.By, arrived, o.hook)
	}
	if !arrived {
		return ""
	}
	p, q := o.fields(), &r.Packet
	wanted := rule.Postrouting
	if q.Hook == rule.Input {
		wanted = rule.Input
	}
	ports := uint32(q.Transport.Src)<<16 | uint32(q.Transport.Dst)
	switch {
	case o.hook != wanted:
		return fmt.Sprintf("the simulator ends at %v, the kernel at %v", q.Hook.Chain(), o.hook.Chain())
	case p.Src != q.Src || p.Dst != q.Dst:
		return fmt.Sprintf("the simulator says %v to %v, the kernel %v to %v", q.Src, q.Dst, p.Src, p.Dst)
	case q.Has(packet.KnowPorts) && ports != o.ports:
		return fmt.Sprintf("the simulator says ports %d to %d, the kernel %d to %d", q.Transport.Src, q.Transport.Dst, o.ports>>16, o.ports&0xffff)
	case p.Mark != q.Mark || p.TTL != q.TTL || p.TOS != q.TOS:
		return fmt.Sprintf("the simulator says mark %#x ttl %d tos %#x, the kernel mark %#x ttl %d tos %#x", q.Mark, q.TTL, q.TOS, p.Mark, p.TTL, p.TOS)
	}
	return ""
}

// compareCounters compares all counters of the kernel with the simulator's.
func compareCounters(rs *rule.Ruleset, counters map[simulate.Place]counted) (out []disagreement) {
	check := func(place simulate.Place, got rule.Counters) {
		want := counters[place]
		if got.Packets != want.Packets || got.Bytes != want.Bytes && !want.untold {
			out = append(out, disagreement{-1, fmt.Sprintf("%+v: the kernel has counted %+v, the simulator %+v", place, got, want.Counters)})
		}
	}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if c.Base != nil {
				check(simulate.Place{Table: t.Name, Chain: c.Name}, c.Counters)
			}
			for i, r := range c.Rules {
				check(simulate.Place{Table: t.Name, Chain: c.Name, Rule: i + 1}, r.Counters)
			}
		}
	}
	return out
}

// trace prints the rules that matched, or may have.
func trace(r *simulate.Result) string {
	var b strings.Builder
	for _, s := range r.Trace {
		if s.Match != packet.No {
			fmt.Fprintf(&b, "\t%s %s %d: %v %s\n", s.Table, s.Chain, s.Rule, s.Match, s.Action)
		}
	}
	return b.String()
}

// mustAgree fails the test if kernel and simulator disagree, with the smallest
// ruleset and the one packet that show it.
func (h *host) mustAgree(t *testing.T, r *ruleset, list []shot, readBack bool) {
	t.Helper()
	out, err := h.judge(r, list, readBack)
	if err != nil {
		t.Fatalf("%v\n%v", err, h.refused(r))
	}
	if len(out) == 0 {
		return
	}
	one, err := h.shrinkPackets(r, list, readBack)
	if err == nil && len(one) == 1 {
		r, err = h.shrinkRules(r, one, readBack)
	}
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range one[:min(3, len(one))] {
		fmt.Fprintf(&b, "%v\n", &one[i])
	}
	if again, err := h.judge(r, one, readBack); err == nil && len(again) > 0 {
		out = again
	}
	for _, d := range out[:min(6, len(out))] {
		fmt.Fprintln(&b, d.text)
	}
	t.Errorf("kernel and simulator disagree (as read back: %v)\n%s%s", readBack, r, b.String())
}

// refused gives the part of a ruleset for which the host refuses it.
func (h *host) refused(r *ruleset) *ruleset {
	for i := len(r.rules) - 1; i >= 0; i-- {
		less := *r
		less.rules = slices.Delete(slices.Clone(r.rules), i, i+1)
		if _, err := h.load(&less, false); err != nil {
			r = &less
		}
	}
	return r.withoutIdle()
}

// shrinkPackets halves the packets while a half still shows a disagreement.
func (h *host) shrinkPackets(r *ruleset, list []shot, readBack bool) ([]shot, error) {
	for len(list) > 1 {
		half := len(list) / 2
		found := false
		for _, part := range [][]shot{list[:half], list[half:]} {
			out, err := h.judge(r, renumbered(part), readBack)
			if err != nil {
				return nil, err
			}
			if found = len(out) > 0; found {
				list = renumbered(part)
				break
			}
		}
		if !found {
			return list, nil
		}
	}
	return list, nil
}

// shrinkRules takes out every rule and policy without which kernel and
// simulator still disagree.
func (h *host) shrinkRules(r *ruleset, list []shot, readBack bool) (*ruleset, error) {
	for i := len(r.rules) - 1; i >= 0; i-- {
		less := *r
		less.rules = slices.Delete(slices.Clone(r.rules), i, i+1)
		out, err := h.judge(&less, list, readBack)
		if err != nil {
			return nil, err
		}
		if len(out) > 0 {
			r = &less
		}
	}
	return r.withoutIdle(), nil
}

// withoutIdle leaves out the chains to which nothing jumps.
func (r *ruleset) withoutIdle() *ruleset {
	less := *r
	less.chains = slices.DeleteFunc(slices.Clone(r.chains), func(c [2]string) bool {
		return !slices.ContainsFunc(r.rules, func(s spec) bool {
			return s.table == c[0] && (s.chain == c[1] || slices.Contains(strings.Fields(s.text), c[1]))
		})
	})
	return &less
}

// renumbered gives the packets their numbers in a list of their own.
func renumbered(list []shot) []shot {
	out := slices.Clone(list)
	for i := range out {
		out[i].bytes = withNumber(out[i].bytes, i+1)
	}
	return out
}

// source gives the random numbers of one case.
func source(seed uint64, f rule.Family) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(f))) }
