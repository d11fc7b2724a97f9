package commit

import (
	"fmt"
	"slices"
)

// merge takes a change back in one family while it keeps what others did since.
// old, now and new are texts of iptables-save -c: before the change, at present,
// and right after the change; with new nil all that is there now counts as the
// change's. touched are the tables that the change named, nil for any. What
// comes out is for iptables-restore -c; nil if there is nothing to put back.
// notes say, a line each, what was found of others and what became of it.
//
// It is a three-way merge: what leads from new to now is done to old. Where both
// meet, the way back wins.
func merge(old, new, now []byte, touched []string) (text []byte, notes []string) {
	was, is := parseSaved(old), parseSaved(now)
	made := is
	if new != nil {
		made = parseSaved(new)
	}
	var out []*savedTable
	for _, name := range tableNames(was, made) {
		if touched != nil && !slices.Contains(touched, name) {
			continue
		}
		m := merger{name: name, was: findTable(was, name), made: findTable(made, name), is: findTable(is, name)}
		m.noTable(isIncompatible(now, name))
		out = append(out, m.table())
		notes = append(notes, m.notes...)
	}
	return savedText(out, true), notes
}

// tableNames are the tables that the change found or made; those that others
// made since are not its business.
func tableNames(was, made []*savedTable) (names []string) {
	for _, list := range [][]*savedTable{was, made} {
		for _, t := range list {
			if !slices.Contains(names, t.name) {
				names = append(names, t.name)
			}
		}
	}
	return names
}

// merger merges one table. A table that is not there is an empty one.
type merger struct {
	name          string
	was, made, is *savedTable // before the change, right after it, now
	out           *savedTable
	lost          []string // chains that others deleted and that nothing needs
	notes         []string
}

func (m *merger) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...)+" (table "+m.name+")")
}

// noTable is for a table that was there after the change and that nobody can read
// now: a host is not left open for that.
func (m *merger) noTable(isIncompatible bool) {
	switch {
	case isIncompatible:
		m.note("others put something in that iptables cannot express; it is as before the change")
	case m.made != nil && m.is == nil:
		m.note("others deleted it; it is as before the change")
	default:
		return
	}
	m.is = m.made
}

func (m *merger) table() *savedTable {
	for _, t := range []**savedTable{&m.was, &m.made, &m.is} {
		if *t == nil {
			*t = m.present().emptied()
		}
	}
	if m.made.sameRules(m.is) { // nobody else was here
		return m.was
	}
	m.out = &savedTable{name: m.name}
	m.oldChains()
	m.theirChains()
	for m.revive() {
	}
	for _, name := range m.lost {
		m.note("chain %s stays deleted, as others left it", name)
	}
	m.dropLooseJumps()
	return m.out
}

// present is a table of the three that is there.
func (m *merger) present() *savedTable {
	for _, t := range []*savedTable{m.was, m.made, m.is} {
		if t != nil {
			return t
		}
	}
	return &savedTable{name: m.name}
}

// oldChains brings back the chains from before the change.
func (m *merger) oldChains() {
	for _, c := range m.was.chains {
		made, is := m.made.chain(c.name), m.is.chain(c.name)
		if made != nil && is == nil && !c.isBuiltin() {
			m.lost = append(m.lost, c.name)
			continue
		}
		m.out.chains = append(m.out.chains, m.chain(c, made, is))
	}
}

// chain merges a chain that was there before the change.
func (m *merger) chain(was, made, is *savedChain) *savedChain {
	none := &savedChain{policy: was.policy}
	if made == nil {
		made = none
	}
	if is == nil {
		is = none
	}
	out := &savedChain{name: was.name, policy: was.policy, counters: was.counters}
	switch {
	case is.policy == made.policy || is.policy == was.policy:
	case made.policy == was.policy:
		out.policy = is.policy
		m.note("kept policy %s of chain %s, set by others", is.policy, was.name)
	default:
		m.note("policy of chain %s is %s again; others had made it %s", was.name, was.policy, is.policy)
	}
	r := mergeRules(was.rules, made.rules, is.rules)
	out.rules = r.rules
	switch len(r.added) {
	case 0:
	case 1:
		m.note("kept -A %s %s, added by others", was.name, r.added[0].spec)
	default:
		m.note("kept %s of chain %s, added by others", countOf(len(r.added), "rule"), was.name)
	}
	if r.deleted > 0 {
		m.note("%s of chain %s, deleted by others, did not come back", countOf(r.deleted, "rule"), was.name)
	}
	return out
}

// theirChains keeps the chains that others made, and tells of what they put
// into chains that go with the change.
func (m *merger) theirChains() {
	for _, c := range m.is.chains {
		if m.was.chain(c.name) != nil || c.isBuiltin() {
			continue
		}
		made := m.made.chain(c.name)
		if made == nil {
			m.out.chains = append(m.out.chains, c)
			m.note("kept chain %s with %s, made by others", c.name, countOf(len(c.rules), "rule"))
			continue
		}
		if r := mergeRules(nil, made.rules, c.rules); len(r.added) > 0 {
			m.note("chain %s is gone with the change, and with it %s that others added", c.name, countOf(len(r.added), "rule"))
		}
	}
}

// revive brings back a chain that others deleted but that a rule of before the
// change jumps to; false when there is none more.
func (m *merger) revive() bool {
	for i, name := range m.lost {
		if m.isJumpedTo(name) {
			m.lost = slices.Delete(m.lost, i, i+1)
			m.out.chains = append(m.out.chains, m.was.chain(name))
			m.note("chain %s, deleted by others, is back: rules that came back jump to it", name)
			return true
		}
	}
	return false
}

func (m *merger) isJumpedTo(name string) bool {
	for _, c := range m.out.chains {
		if slices.ContainsFunc(c.rules, func(r savedRule) bool { return r.jumpTarget() == name }) {
			return true
		}
	}
	return false
}

// dropLooseJumps leaves out rules that jump to chains which are gone: a restore
// would be refused for them.
func (m *merger) dropLooseJumps() {
	for _, c := range m.out.chains {
		c.rules = slices.DeleteFunc(slices.Clone(c.rules), func(r savedRule) bool {
			to := r.jumpTarget()
			isChain := m.made.chain(to) != nil || m.is.chain(to) != nil
			if !isChain || m.out.chain(to) != nil {
				return false
			}
			m.note("left out -A %s %s: chain %s is gone with the change", c.name, r.spec, to)
			return true
		})
	}
}

// countOf is "1 rule" or "3 rules".
func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
