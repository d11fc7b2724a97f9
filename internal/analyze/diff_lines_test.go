package analyze

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
)

// longest is the length of a longest common subsequence, by trying all.
func longest(a, b []int) int {
	row := make([]int, len(b)+1)
	for i := range a {
		diagonal := 0
		for j := range b {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

func TestCommonIsALongestSubsequence(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	list := func() []int {
		out := make([]int, r.IntN(12))
		for i := range out {
			out[i] = r.IntN(5)
		}
		return out
	}
	for range 5000 {
		a, b := list(), list()
		pairs := Common(a, b)
		if len(pairs) != longest(a, b) {
			t.Fatalf("%v %v: %v, a longest one has %d", a, b, pairs, longest(a, b))
		}
		for i, p := range pairs {
			if a[p.Old] != b[p.New] || i > 0 && (pairs[i-1].Old >= p.Old || pairs[i-1].New >= p.New) {
				t.Fatalf("%v %v: %v is no common subsequence", a, b, pairs)
			}
		}
	}
}

// rulesOf loads a ruleset in save format.
func rulesOf(t testing.TB, f rule.Family, lines ...string) *rule.Ruleset {
	t.Helper()
	r, err := load.Text("test", []byte(strings.Join(lines, "\n")+"\n"), f)
	if err != nil {
		t.Fatal(err)
	}
	return r.Ruleset
}

func TestLineDiffShowsWhatMoved(t *testing.T) {
	old := rulesOf(t, rule.IPv4, "*filter", ":INPUT ACCEPT [0:0]", ":old - [0:0]", "-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -j DROP", "COMMIT")
	now := rulesOf(t, rule.IPv4, "*nat", "COMMIT", "*filter", ":INPUT DROP [7:9]", "-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -i lo -j ACCEPT", "COMMIT")
	var got []string
	for _, c := range LineDiff(old, now) {
		got = append(got, fmt.Sprintf("%s %c %s", c.Under, "-+"[b2i(c.Added)], c.Line))
	}
	want := []string{
		"filter INPUT - :INPUT ACCEPT", "filter INPUT + :INPUT DROP", "filter old - :old -",
		"filter INPUT - -A INPUT -i lo -j ACCEPT", "filter INPUT + -A INPUT -i lo -j ACCEPT", "filter INPUT - -A INPUT -j DROP",
		"nat + *nat", "nat PREROUTING + :PREROUTING ACCEPT", "nat INPUT + :INPUT ACCEPT", "nat OUTPUT + :OUTPUT ACCEPT", "nat POSTROUTING + :POSTROUTING ACCEPT",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if d := LineDiff(old, old); d != nil {
		t.Errorf("a ruleset differs from itself: %v", d)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
