package commit

import (
	"bytes"
	"slices"
)

// rollbackText gives the save text that leads from the tables of now back to
// those of old (both as written by iptables-save): old itself, and an empty
// form of every table that only now has. A restore leaves tables alone that its
// text does not name, so old alone would leave those standing.
func rollbackText(old, now []byte) []byte {
	text := slices.Clone(old)
	known := tablesOf(old)
	for _, t := range tablesOf(now) {
		isOld := slices.ContainsFunc(known, func(k savedTable) bool { return k.name == t.name })
		if isOld {
			continue
		}
		text = append(text, "*"+t.name+"\n"...)
		for _, chain := range t.builtin {
			text = append(text, ":"+chain+" ACCEPT [0:0]\n"...)
		}
		text = append(text, "COMMIT\n"...)
	}
	return text
}

// savedTable is the head of one table in the save format.
type savedTable struct {
	name    string
	builtin []string // chains with a policy
}

// tablesOf reads the heads of the tables in a text that iptables-save wrote:
// "*table", then a line ":CHAIN POLICY [packets:bytes]" a chain, where
// user-defined chains have - for a policy.
func tablesOf(text []byte) []savedTable {
	var tables []savedTable
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\n")
		switch {
		case bytes.HasPrefix(line, []byte("*")):
			tables = append(tables, savedTable{name: string(line[1:])})
		case bytes.HasPrefix(line, []byte(":")) && len(tables) > 0:
			chain, policy, _ := bytes.Cut(line[1:], []byte(" "))
			if !bytes.HasPrefix(policy, []byte("-")) {
				t := &tables[len(tables)-1]
				t.builtin = append(t.builtin, string(chain))
			}
		}
	}
	return tables
}
