package load

import (
	"strconv"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// namedSets knows every set that a file names: the file may be from another
// host, or the set not made yet, and what a set holds is not the file's
// business. It gives out its own indexes, which no kernel must see.
type namedSets struct{ names []string }

// maxSets bounds the indexes: 65535 is none, IPSET_INVALID_ID of
// linux/netfilter/ipset/ip_set.h.
const maxSets = 65535

// ByName gives the set an index, the same for each name; its family is any.
func (s *namedSets) ByName(name string) (netdb.Set, error) {
	for i, n := range s.names {
		if n == name {
			return netdb.Set{Name: name, Index: uint16(i)}, nil
		}
	}
	if len(s.names) == maxSets {
		return netdb.Set{}, netdb.ErrNoSet
	}
	s.names = append(s.names, name)
	return netdb.Set{Name: name, Index: uint16(len(s.names) - 1)}, nil
}

// ByIndex gives the name back.
func (s *namedSets) ByIndex(index uint16) (string, error) {
	if int(index) >= len(s.names) {
		return "", netdb.ErrNoSet
	}
	return s.names[index], nil
}

// NameSets gives references to sets in rules of the kernel, which are indexes,
// their names; one whose name nobody tells is "#" and the index.
func NameSets(rs *rule.Ruleset) {
	names := &netdb.DB{}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, m := range r.Matches {
					if s, ok := m.(*ext.SetMatch); ok {
						resolve(&s.SetRef, names)
					}
				}
				if s, ok := r.Target.(*ext.SetTarget); ok {
					for _, ref := range []*ext.SetRef{&s.Add, &s.Del, &s.Map} {
						if len(ref.Dirs) > 0 {
							resolve(ref, names)
						}
					}
				}
			}
		}
	}
}

func resolve(ref *ext.SetRef, names *netdb.DB) {
	if ref.ResolveName(names); ref.SetName == "" {
		ref.SetName = "#" + strconv.Itoa(int(ref.Index))
	}
}
