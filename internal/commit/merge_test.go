package commit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// mergeCase gives the chains of table filter before the change, right after it,
// and now, a line each: "INPUT DROP: a; b" or "mine: -j x".
type mergeCase struct {
	name           string
	was, made, is  []string
	want           []string
	says           []string
	nothingIsFound bool // of others
}

// tableOf makes a saved text of such lines. Rules count their place, so that it
// shows whose counters they keep.
func tableOf(chains []string, counter int) []byte {
	t := &savedTable{name: "filter"}
	for _, line := range chains {
		head, rules, _ := strings.Cut(line, ":")
		name, policy, isBuiltin := strings.Cut(head, " ")
		c := &savedChain{name: name, policy: "-", counters: "[0:0]"}
		if isBuiltin {
			c.policy, c.counters = policy, fmt.Sprintf("[%d:0]", counter)
		}
		for _, spec := range strings.Split(rules, ";") {
			if spec = strings.TrimSpace(spec); spec != "" {
				c.rules = append(c.rules, savedRule{fmt.Sprintf("[%d:0]", counter), spec})
			}
		}
		t.chains = append(t.chains, c)
	}
	return t.appendTo(nil, true)
}

// linesOf undoes tableOf.
func linesOf(text []byte) (lines []string) {
	for _, t := range parseSaved(text) {
		for _, c := range t.chains {
			line := c.name
			if c.isBuiltin() {
				line += " " + c.policy
			}
			line += ":"
			for i, r := range c.rules {
				if i > 0 {
					line += ";"
				}
				line += " " + r.spec
			}
			lines = append(lines, line)
		}
	}
	return lines
}

var mergeCases = []mergeCase{
	{
		name: "nobody else was here",
		was:  []string{"INPUT ACCEPT: a; b", "old: c"}, made: []string{"INPUT DROP: b; d", "mine: e"},
		is:   []string{"INPUT DROP: b; d", "mine: e"},
		want: []string{"INPUT ACCEPT: a; b", "old: c"}, nothingIsFound: true,
	},
	{
		name: "back already",
		was:  []string{"INPUT ACCEPT: a; b"}, made: []string{"INPUT DROP: b; d", "mine:"},
		is: []string{"INPUT ACCEPT: a; b"}, want: []string{"INPUT ACCEPT: a; b"}, nothingIsFound: true,
	},
	{
		name: "a ban at the beginning, with its chain",
		was:  []string{"INPUT ACCEPT: a; b"}, made: []string{"INPUT DROP: b; d"},
		is:   []string{"INPUT DROP: -j f2b; b; d", "f2b: ban"},
		want: []string{"INPUT ACCEPT: -j f2b; a; b", "f2b: ban"},
		says: []string{"kept -A INPUT -j f2b, added by others", "kept chain f2b with 1 rule, made by others"},
	},
	{
		name: "a ban in a chain that the change left empty",
		was:  []string{"INPUT ACCEPT: a; b"}, made: []string{"INPUT ACCEPT:"},
		is: []string{"INPUT ACCEPT: ban"}, want: []string{"INPUT ACCEPT: ban; a; b"}, says: []string{"kept -A INPUT ban"},
	},
	{
		name: "rules at the end stay there",
		was:  []string{"INPUT ACCEPT: a; b"}, made: []string{"INPUT ACCEPT: a; new"},
		is: []string{"INPUT ACCEPT: a; new; x; y"}, want: []string{"INPUT ACCEPT: a; b; x; y"}, says: []string{"kept 2 rules of chain INPUT"},
	},
	{
		name: "a rule stands behind its neighbour",
		was:  []string{"INPUT ACCEPT: a; b; c"}, made: []string{"INPUT ACCEPT: a; new; c"},
		is: []string{"INPUT ACCEPT: a; x; new; c"}, want: []string{"INPUT ACCEPT: a; x; b; c"}, says: []string{"kept -A INPUT x"},
	},
	{
		name: "a rule between two of the change's stands before its next neighbour",
		was:  []string{"INPUT ACCEPT: a; b"}, made: []string{"INPUT ACCEPT: new; newer; b"},
		is: []string{"INPUT ACCEPT: new; x; newer; b"}, want: []string{"INPUT ACCEPT: a; x; b"}, says: []string{"kept -A INPUT x"},
	},
	{
		name: "rules that others deleted stay deleted",
		was:  []string{"INPUT ACCEPT: a; b; c"}, made: []string{"INPUT ACCEPT: new; a; b; c"},
		is: []string{"INPUT ACCEPT: new; c"}, want: []string{"INPUT ACCEPT: c"}, says: []string{"2 rules of chain INPUT, deleted by others, did not come back"},
	},
	{
		name: "what others put back is there once",
		was:  []string{"INPUT ACCEPT: a; -j docker", "docker: r; s"}, made: []string{"INPUT ACCEPT: a"},
		is:   []string{"INPUT ACCEPT: a; -j docker", "docker: r; s; t"},
		want: []string{"INPUT ACCEPT: a; -j docker", "docker: r; s; t"}, says: []string{"kept -A docker t"},
	},
	{
		name: "others' chain that is gone stays away",
		was:  []string{"INPUT ACCEPT: a; -j f2b", "f2b: ban"}, made: []string{"INPUT DROP: a; -j f2b", "f2b: ban"},
		is: []string{"INPUT DROP: a"}, want: []string{"INPUT ACCEPT: a"}, says: []string{"chain f2b stays deleted", "1 rule of chain INPUT, deleted by others"},
	},
	{
		name: "a deleted chain comes back when a rule that comes back needs it",
		was:  []string{"INPUT ACCEPT: -j x", "x: a"}, made: []string{"INPUT ACCEPT:", "x: a"},
		is: []string{"INPUT ACCEPT:"}, want: []string{"INPUT ACCEPT: -j x", "x: a"}, says: []string{"chain x, deleted by others, is back"},
	},
	{
		name: "others' rules in a chain of the change go with it, and jumps to it",
		was:  []string{"INPUT ACCEPT: a"}, made: []string{"INPUT ACCEPT: -j mine", "mine: b"},
		is:   []string{"INPUT ACCEPT: -j mine; -p tcp -g mine", "mine: b; x", "theirs: -j mine; y"},
		want: []string{"INPUT ACCEPT: a", "theirs: y"},
		says: []string{"chain mine is gone with the change, and with it 1 rule", "left out -A INPUT -p tcp -g mine: chain mine is gone", "left out -A theirs -j mine"},
	},
	{
		name: "a policy that others set stays, unless the change set it too",
		was:  []string{"INPUT ACCEPT:", "FORWARD ACCEPT:"}, made: []string{"INPUT DROP: a", "FORWARD ACCEPT:"},
		is:   []string{"INPUT DROP: a", "FORWARD DROP:"},
		want: []string{"INPUT ACCEPT:", "FORWARD DROP:"}, says: []string{"kept policy DROP of chain FORWARD"},
	},
	{
		name: "a word in a comment is no jump",
		was:  []string{"INPUT ACCEPT: a"}, made: []string{"INPUT ACCEPT: -j mine", "mine:"},
		is:   []string{`INPUT ACCEPT: -m comment --comment "he said \" -j mine" -j DROP; -j mine`, "mine:"},
		want: []string{`INPUT ACCEPT: -m comment --comment "he said \" -j mine" -j DROP; a`}, says: []string{"kept -A INPUT -m comment"},
	},
}

func TestMergeUndoesOursAndKeepsTheirs(t *testing.T) {
	t.Parallel()
	for _, c := range mergeCases {
		t.Run(c.name, func(t *testing.T) {
			text, notes := merge(tableOf(c.was, 1), tableOf(c.made, 2), tableOf(c.is, 3), nil)
			if got := linesOf(text); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			all := strings.Join(notes, "\n")
			for _, want := range c.says {
				if !strings.Contains(all, want) {
					t.Errorf("no %q in:\n%s", want, all)
				}
			}
			if c.nothingIsFound && len(notes) > 0 {
				t.Errorf("it says:\n%s", all)
			}
		})
	}
}

func TestMergeGivesOldRulesTheirOldCounters(t *testing.T) {
	t.Parallel()
	text, _ := merge(tableOf([]string{"INPUT DROP: a"}, 1), tableOf([]string{"INPUT DROP: a; b"}, 2), tableOf([]string{"INPUT DROP: x; a; b"}, 3), nil)
	const want = "*filter\n:INPUT DROP [1:0]\n[3:0] -A INPUT x\n[1:0] -A INPUT a\nCOMMIT\n"
	if string(text) != want {
		t.Errorf("got:\n%s", text)
	}
}

func TestMergeLeavesTablesAloneThatTheChangeDidNotName(t *testing.T) {
	t.Parallel()
	const nat = "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j X\nCOMMIT\n"
	old := tableOf([]string{"INPUT DROP: a"}, 1)
	now := append(tableOf([]string{"INPUT DROP: b"}, 1), nat...)
	for _, c := range []struct {
		name    string
		new     []byte
		touched []string
		want    string
	}{
		{"made by others since", tableOf([]string{"INPUT DROP: b"}, 1), nil, string(old)},
		{"made by the change", now, nil, string(old) + "*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"},
		{"nobody knows by whom", nil, nil, string(old) + "*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"},
		{"not named by the change", now, []string{"filter"}, string(old)},
		{"no table named", now, []string{}, ""},
	} {
		if text, _ := merge(old, c.new, now, c.touched); string(text) != c.want {
			t.Errorf("%s:\n%s", c.name, text)
		}
	}
}

func TestMergeBringsATableBackThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	old, made := tableOf([]string{"INPUT DROP: a"}, 1), tableOf([]string{"INPUT DROP: a; b"}, 2)
	for now, want := range map[string]string{
		"": "others deleted it",
		"# Table `filter' is incompatible, use 'nft' tool.\n": "iptables cannot express",
	} {
		text, notes := merge(old, made, []byte(now), nil)
		if string(text) != string(old) || len(notes) != 1 || !strings.Contains(notes[0], want) {
			t.Errorf("now %q: %q\n%s", now, notes, text)
		}
	}
}

// randomTable makes a table whose rules are letters and jumps.
func randomTable(r *rand.Rand) []string {
	names := []string{"x", "y", "z"}[:r.IntN(4)]
	rules := func() string {
		var list []string
		for range r.IntN(6) {
			if to := r.IntN(5); to < len(names) {
				list = append(list, "-j "+names[to])
			} else {
				list = append(list, string(rune('a'+r.IntN(6))))
			}
		}
		return strings.Join(list, "; ")
	}
	lines := []string{"INPUT " + []string{"ACCEPT", "DROP"}[r.IntN(2)] + ": " + rules()}
	for _, name := range names {
		lines = append(lines, name+": "+rules())
	}
	return lines
}

func TestMergeOfRandomTables(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 5))
		was, made, is := tableOf(randomTable(r), 1), tableOf(randomTable(r), 2), tableOf(randomTable(r), 3)
		fail := func(what string, got []byte) {
			t.Fatalf("seed %d: %s\nbefore:\n%safter the change:\n%snow:\n%sgot:\n%s", seed, what, was, made, is, got)
		}
		if got, _ := merge(was, made, made, nil); string(got) != string(was) {
			fail("without others, not what was before", got)
		}
		if got, notes := merge(was, made, was, nil); string(got) != string(was) || len(notes) > 0 {
			fail("of what is back already, not the same", got)
		}
		if got, _ := merge(was, was, is, nil); !slices.Equal(sorted(linesOf(got)), sorted(linesOf(is))) {
			fail("without a change, not what others made", got)
		}
		got, _ := merge(was, made, is, nil)
		if err := wellFormed(got); err != nil {
			fail(err.Error(), got)
		}
	}
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

func TestPairsOfLongListsAreFoundInTime(t *testing.T) {
	t.Parallel()
	const n = 100_000
	a, b := make([]string, n), make([]string, n)
	for i := range n {
		a[i], b[i] = fmt.Sprint(i), fmt.Sprint((i+n/2)%n) // two halves changed places
	}
	found := 0
	for _, j := range pair(a, b) {
		if j >= 0 {
			found++
		}
	}
	if found != n/2 {
		t.Errorf("%d pairs", found)
	}
}
