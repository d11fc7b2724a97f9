package analyze

import (
	"fmt"
	"slices"
	"strings"

	"moat/internal/change"
	"moat/internal/rule"
)

// passing are the beginnings of names whose interfaces come and go with
// connections, containers and plugs.
var passing = [...]string{"ppp", "tun", "tap", "wg", "veth", "vnet", "docker", "br-", "virbr", "wlan", "wwan", "usb", "cni", "flannel", "cali", "tailscale"}

// findMissingInterfaces finds rules for interfaces that the host does not have:
// of a chain, one finding for each interface. A pattern such as "tun+" is
// written for interfaces that come and go, and is left alone.
func findMissingInterfaces(_ *Auditor, s *Subject) (list []Finding) {
	for _, t := range s.Tables {
		for _, c := range t.Chains {
			first := len(list)
			for i := range c.Rules {
				for _, out := range [...]bool{false, true} {
					f, found := s.missing(t, c, i+1, out)
					if !found {
						continue
					}
					at := slices.IndexFunc(list[first:], func(g Finding) bool { return g.Says == f.Says })
					if at < 0 || strings.Contains(commentOf(c.Rules[i]), SilenceMark) {
						list = append(list, f)
						continue
					}
					g := &list[first+at]
					g.Proof, g.Fix = append(g.Proof, f.Proof...), nil
				}
			}
		}
	}
	return list
}

// missing looks at one condition of a rule.
func (s *Subject) missing(t *rule.Table, c *rule.Chain, number int, out bool) (f Finding, found bool) {
	r := c.Rules[number-1]
	i := r.In
	if out {
		i = r.Out
	}
	if has, known := s.HasInterface(i); i.IsAny() || strings.HasSuffix(i.Name, "+") || has || !known {
		return f, false
	}
	f = Finding{Place: s.Ref(t.Name, c.Name, number), Because: "the interface is named by"}
	f.Proof = []Ref{f.Place}
	what := "so the rule never matches"
	if i.Not {
		what = "so the condition is always met"
	}
	f.Says = fmt.Sprintf("there is no interface %s, %s; there are %s", i.Name, what, nameList(s.interfaces))
	for _, begin := range passing {
		if strings.HasPrefix(i.Name, begin) {
			f.Severity = Note
		}
	}
	if f.Severity != Note && !i.Not && (r.In.IsAny() || r.Out.IsAny()) {
		f.Fix = s.rename(t, c, number, out)
	}
	return f, true
}

// rename puts the host's only interface besides lo in the place of one that
// does not exist.
func (s *Subject) rename(t *rule.Table, c *rule.Chain, number int, out bool) *Fix {
	only := ""
	for _, name := range s.interfaces {
		switch {
		case name == "lo":
		case only != "":
			return nil
		default:
			only = name
		}
	}
	if only == "" {
		return nil
	}
	r := *c.Rules[number-1]
	if out {
		r.Out.Name = only
	} else {
		r.In.Name = only
	}
	op := change.Op{Kind: change.Replace, Table: t.Name, Chain: c.Name, Num: number, Rule: &r}
	return s.Fix("if "+only+" was meant", []change.Op{op}, func(after *Subject) bool {
		_, found := after.missing(after.Table(t.Name), after.Table(t.Name).Chain(c.Name), number, out)
		return !found
	})
}

// nameList is at most eight names.
func nameList(names []string) string {
	if len(names) > 8 {
		return strings.Join(names[:8], ", ") + " …"
	}
	return strings.Join(names, ", ")
}
