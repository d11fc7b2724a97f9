package analyze

import (
	"errors"
	"fmt"
	"strings"

	"moat/internal/host"
	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// Legacy is what iptables-legacy has in force of one family beside nf_tables.
type Legacy struct {
	Family rule.Family
	Tables []string // that are there, with rules or not
	// Rules are the rules; nil: the program that reads them is not there.
	Rules *rule.Ruleset
}

// readLegacy asks the kernel for the rules of iptables-legacy.
func readLegacy(f rule.Family) (l Legacy, err error) {
	l.Family = f
	if l.Tables, err = host.LegacyTables(f); err != nil || len(l.Tables) == 0 {
		return l, err
	}
	text, err := host.LegacyRules(f)
	if errors.Is(err, host.ErrNoLegacyProgram) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	r, err := load.Text(f.Program()+"-legacy", text, f)
	if err != nil {
		return l, err
	}
	l.Rules = r.Ruleset
	return l, nil
}

// unread warns of tables whose rules cannot be read.
func (l *Legacy) unread() []string {
	if l.Rules != nil || len(l.Tables) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s-legacy has tables (%s) beside those of nf_tables; install its program, so that audit can look for rules in them",
		l.Family.Program(), strings.Join(l.Tables, ", "))}
}

// findLegacy finds rules of iptables-legacy that are in force: packets have to
// pass both, and the programs of today show only one.
func findLegacy(a *Auditor) (list []Finding) {
	for i := range a.Legacy {
		l := &a.Legacy[i]
		if l.Rules == nil {
			continue // what cannot be read cannot be shown
		}
		old := &Subject{Ruleset: l.Rules, Source: l.Family.Program() + "-legacy"}
		f := Finding{Place: Ref{Family: l.Family}, Because: "in force beside the rules of nf_tables are", subject: a.Subject(l.Family)}
		rules := 0
		for _, t := range l.Rules.Tables {
			for _, c := range t.Chains {
				if rules += len(c.Rules); c.Base != nil && c.Base.Policy != rule.Accept {
					f.Proof = append(f.Proof, old.Ref(t.Name, c.Name, 0))
				}
				for n := range c.Rules {
					if len(f.Proof) < maxNamed {
						f.Proof = append(f.Proof, old.Ref(t.Name, c.Name, n+1))
					}
				}
			}
		}
		if len(f.Proof) == 0 {
			continue
		}
		f.Says = fmt.Sprintf("rules of %s-legacy are in force too, %d and the policies: packets have to pass both, and %s does not show them",
			l.Family.Program(), rules, l.Family.Program())
		f.Fix = old.flush()
		list = append(list, f)
	}
	return list
}

// flush removes all rules of iptables-legacy, its policies first.
func (s *Subject) flush() *Fix {
	var lines []string
	for _, t := range s.Tables {
		for _, c := range t.Chains {
			if c.Base != nil && c.Base.Policy != rule.Accept {
				lines = append(lines, fmt.Sprintf("-t %s -P %s ACCEPT", t.Name, c.Name))
			}
		}
		lines = append(lines, "-t "+t.Name+" -F", "-t "+t.Name+" -X")
	}
	f := s.Fix("removes them; what is still needed, add before with "+s.Family.Program(), s.ops(lines...), func(after *Subject) bool {
		k := after.Indexed().Walker()
		for _, p := range s.Probes() {
			if v, _ := k.Decide(&p.Packet, p.Way); v != simulate.Accept {
				return false
			}
		}
		return true
	})
	if f != nil {
		for i, line := range lines {
			f.Commands[i] = s.Family.Program() + "-legacy " + strings.TrimPrefix(line, "-t filter ")
		}
	}
	return f
}
