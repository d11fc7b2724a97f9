package kernel

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"moat/internal/change"
	"moat/internal/rule"
)

// rulesetMaker makes random rulesets of a family.
type rulesetMaker struct {
	*rand.Rand
	f    rule.Family
	pool map[string][]*rule.Rule // by "table chain": rules with extensions that the kernel takes
}

// TestRulesetsReadBack writes random rulesets over all tables and reads the
// same values back, counters included.
func TestRulesetsReadBack(t *testing.T) {
	for _, f := range families {
		t.Run(f.Program(), func(t *testing.T) {
			k, _ := newKernel(t)
			pool := map[string][]*rule.Rule{}
			rows, _ := extensionRows(t, f)
			for place, rules := range rows {
				s := restoreScript(t, f, fileOf(place, takenRules(t, k, f, place, rules)), false)
				for i := range s.Ops {
					if r := s.Ops[i].Rule; r != nil {
						pool[place[0]+" "+place[1]] = append(pool[place[0]+" "+place[1]], r)
					}
				}
			}
			for seed := range uint64(rounds(60)) {
				m := &rulesetMaker{rand.New(rand.NewPCG(seed, 2)), f, pool}
				want := m.ruleset()
				if err := k.Apply(write(want)); err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, saved(want))
				}
				equal(t, fmt.Sprintf("seed %d", seed), read(t, k, f), want)
			}
		})
	}
}

// write is a script that makes a ruleset out of whatever is there.
func write(rs *rule.Ruleset) *change.Script {
	s := &change.Script{Family: rs.Family}
	for _, t := range rs.Tables {
		s.Ops = append(s.Ops, change.Op{Kind: change.ReplaceTable, Table: t.Name})
		for _, c := range t.Chains {
			op := change.Op{Kind: change.NewChain, Table: t.Name, Chain: c.Name}
			if c.Base != nil {
				op.Kind, op.Policy, op.Counters = change.SetPolicy, c.Base.Policy, &c.Counters
			}
			s.Ops = append(s.Ops, op)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				s.Ops = append(s.Ops, change.Op{Kind: change.Append, Table: t.Name, Chain: c.Name, Rule: r})
			}
		}
	}
	return s
}

func (m *rulesetMaker) ruleset() *rule.Ruleset {
	rs := &rule.Ruleset{Family: m.f}
	for i := range rule.Layouts {
		l := &rule.Layouts[i]
		t := &rule.Table{Name: l.Table}
		for j := range l.Chains {
			c := builtinChain(&l.Chains[j])
			if l.Table != "nat" {
				c.Base.Policy = rule.Verdict(m.IntN(2))
			}
			c.Counters = m.counters()
			t.Chains = append(t.Chains, &c)
		}
		users := m.IntN(4)
		for j := range users {
			t.Chains = append(t.Chains, &rule.Chain{Name: userName(j)})
		}
		for j, c := range t.Chains {
			m.fill(t, c, max(0, j-len(l.Chains)+1), users)
		}
		rs.Tables = append(rs.Tables, t)
	}
	return rs
}

// userName is the name of the user-defined chain of a number; names are as long
// as they may be, and sort by number.
func userName(i int) string { return fmt.Sprintf("chain%d-with_a.name:of/28bytes!", i)[:28] }

// fill gives a chain rules; they jump to user-defined chains from number first
// on, so that there is no loop.
func (m *rulesetMaker) fill(t *rule.Table, c *rule.Chain, first, users int) {
	for range m.IntN(6) {
		r := &rule.Rule{Target: testTargets[m.IntN(len(testTargets))]}
		if pool := m.pool[t.Name+" "+c.Name]; len(pool) > 0 && m.IntN(3) > 0 {
			copied := *pool[m.IntN(len(pool))]
			r = &copied
		}
		if len(r.Matches) == 0 && r.Proto.IsAny() && m.IntN(2) == 0 {
			r.Proto = rule.Protocol{Number: uint16(1 + m.IntN(255)), Not: m.IntN(4) == 0}
		}
		if _, isVerdict := r.Target.(rule.Verdict); (isVerdict || r.Target == nil) && first < users && m.IntN(3) == 0 {
			r.Target = rule.Jump{Chain: userName(first + m.IntN(users-first)), Goto: m.IntN(2) == 0}
		}
		r.Src, r.Dst, r.In, r.Out = m.address(), m.address(), m.device(), m.device()
		if m.f == rule.IPv4 {
			r.Fragment = rule.Fragment(m.IntN(3))
		}
		r.Counters = m.counters()
		c.Rules = append(c.Rules, r)
	}
}

func (m *rulesetMaker) counters() rule.Counters {
	shift := m.IntN(64)
	return rule.Counters{Packets: m.Uint64() >> shift, Bytes: m.Uint64() >> shift}
}

// address is any prefix length, a mask with holes, or no condition.
func (m *rulesetMaker) address() rule.Address {
	n := m.f.AddrLen()
	var ip, mask [16]byte
	for i := range n {
		ip[i] = byte(m.Uint32())
	}
	switch m.IntN(3) {
	case 0:
		return rule.Address{}
	case 1:
		for i := range n {
			mask[i] = byte(m.Uint32())
		}
		mask[m.IntN(n)] |= 1 // not none at all
	default:
		for bit := range 1 + m.IntN(8*n) {
			mask[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	for i := range mask {
		ip[i] &= mask[i]
	}
	return rule.Address{IP: toAddr(ip, n), Mask: toAddr(mask, n), Not: m.IntN(4) == 0}
}

func (m *rulesetMaker) device() rule.Interface {
	names := [...]string{"", "", "lo", "eth0", "e", "fifteen-bytes-x", "eth+", "fourteen-byte+", "a.b:1"}
	name := names[m.IntN(len(names))]
	return rule.Interface{Name: name, Not: name != "" && m.IntN(3) == 0}
}

// TestHeadersReadBack writes and reads each prefix length, with and without
// inversion, each protocol, and what interfaces can be asked for.
func TestHeadersReadBack(t *testing.T) {
	for _, f := range families {
		t.Run(f.Program(), func(t *testing.T) {
			k, _ := newKernel(t)
			c := &rule.Chain{Name: "headers"}
			add := func(r rule.Rule) { c.Rules = append(c.Rules, &r) }
			all := netip.MustParseAddr("255.255.255.255")
			if f == rule.IPv6 {
				all = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
			}
			for bits := 1; bits <= all.BitLen(); bits++ {
				p, err := all.Prefix(bits)
				if err != nil {
					t.Fatal(err)
				}
				a := rule.Address{IP: p.Addr(), Mask: p.Addr()}
				add(rule.Rule{Src: a})
				a.Not = true
				add(rule.Rule{Src: a, Dst: a})
			}
			for n := 1; n < 256; n++ {
				add(rule.Rule{Proto: rule.Protocol{Number: uint16(n)}})
				add(rule.Rule{Proto: rule.Protocol{Number: uint16(n), Not: true}})
			}
			for _, name := range []string{"lo", "x", "fifteen-bytes-x", "fourteen-byte+", "x+", "+"} {
				for _, not := range []bool{false, true} {
					add(rule.Rule{In: rule.Interface{Name: name, Not: not}})
					add(rule.Rule{Out: rule.Interface{Name: name, Not: not}})
				}
			}
			table := &rule.Table{Name: "filter", Chains: []*rule.Chain{c}}
			for i := range rule.Layouts[0].Chains {
				b := builtinChain(&rule.Layouts[0].Chains[i])
				table.Chains = append(table.Chains[:i:i], &b, c)
			}
			want := &rule.Ruleset{Family: f, Tables: []*rule.Table{table}}
			if err := k.Apply(write(want)); err != nil {
				t.Fatal(err)
			}
			equal(t, "headers", read(t, k, f), want)
		})
	}
}
