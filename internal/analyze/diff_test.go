package analyze

import (
	"fmt"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
	"moat/internal/simulate"
)

// subjectOf loads a ruleset in save format.
func subjectOf(t testing.TB, name, text string, f rule.Family) *Subject {
	t.Helper()
	r, err := load.Text(name, []byte(text), f)
	if err != nil {
		t.Fatal(err)
	}
	return NewSubject(r, false)
}

// said is a Diff in a line for each part of a change.
func said(d *Diff) (list []string) {
	for i := range d.Changes {
		c := &d.Changes[i]
		for n := range c.Parts {
			list = append(list, fmt.Sprintf("%s %v -> %v: %s", c.Way.Hook().Chain(), c.Old, c.New, Describe(&c.Parts[n], d.Old.Family)))
		}
	}
	return list
}

func TestDiffSaysWhatChangesHands(t *testing.T) {
	filter := func(lines ...string) []string {
		return append(append([]string{"*filter", ":INPUT DROP [0:0]", ":FORWARD ACCEPT [0:0]"}, lines...), "COMMIT")
	}
	lo, est := "-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
	ssh, web := "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"
	drop := "-A INPUT -s 203.0.113.0/24 -j DROP"
	cases := []struct {
		name     string
		old, now []string
		want     []string
	}{
		{"the order of rules that do not meet", filter(lo, est, ssh, web), filter(est, lo, web, ssh), nil},
		{"a comment", filter(ssh), filter("-A INPUT -p tcp -m tcp --dport 22 -m comment --comment x -j ACCEPT"), nil},
		{"two rules made one", filter(est, ssh, web), filter(est, "-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT"), nil},
		{"a chain of its own", filter(lo, ssh), append([]string{"*filter", ":INPUT DROP [0:0]", ":mine - [0:0]", "-A INPUT -j mine"},
			"-A mine -i lo -j ACCEPT", "-A mine -p tcp -m tcp --dport 22 -j ACCEPT", "COMMIT"), nil},
		{"a port more", filter(lo, est, ssh), filter(lo, est, ssh, web),
			[]string{"INPUT DROP -> ACCEPT: tcp from any to any port 80 in any but lo state INVALID,NEW"}},
		{"fragments to this host, which it puts together", filter(ssh, web), filter("-A INPUT -f -j ACCEPT", ssh, web), nil},
		{"a list of ports that reads no fragments", filter(ssh, web), filter("-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT"), nil},
		{"fragments that are dropped before", append([]string{"*raw", "COMMIT"}, filter("-P INPUT ACCEPT")...), append([]string{"*raw", "-A PREROUTING -f -j DROP", "COMMIT"}, filter("-P INPUT ACCEPT")...),
			[]string{"INPUT ACCEPT -> DROP: everything frag"}},
		{"fragments that are passed on", filter(), filter("-A FORWARD -f -j DROP"), []string{"FORWARD ACCEPT -> DROP: everything frag"}},
		{"a block that comes too late", filter(lo, est, ssh), filter(lo, est, ssh, drop), nil},
		{"a block that comes first", filter(lo, est, ssh), filter(drop, lo, est, ssh), []string{
			"INPUT ACCEPT -> DROP: everything from 203.0.113.0/24 to any state ESTABLISHED,RELATED",
			"INPUT ACCEPT -> DROP: everything from 203.0.113.0/24 to any in lo",
			"INPUT ACCEPT -> DROP: tcp from 203.0.113.0/24 to any port 22"}},
		{"the policy", filter(lo, ssh), append([]string{"*filter", lo, ssh}, "COMMIT"), []string{
			"INPUT DROP -> ACCEPT: any but tcp in any but lo", "INPUT DROP -> ACCEPT: tcp from any to any port any but 22 in any but lo"}},
		{"a limit", filter(ssh), filter("-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 5/min -j ACCEPT"),
			[]string{"INPUT ACCEPT -> DROP: tcp from any to any port 22 when (limit --limit 5/min) does not match"}},
		{"a rule before a limit", filter("-A INPUT -p tcp -m limit --limit 5/min -j ACCEPT"), filter("-A INPUT -i lo -p tcp -j ACCEPT", "-A INPUT -p tcp -m limit --limit 5/min -j ACCEPT"),
			[]string{"INPUT DROP -> ACCEPT: tcp in lo when (limit --limit 5/min) does not match"}},
		{"the answer of a block", filter("-A INPUT -j REJECT --reject-with icmp-port-unreachable"), filter("-A INPUT -p tcp -j REJECT --reject-with tcp-reset", "-A INPUT -j REJECT --reject-with icmp-port-unreachable"),
			[]string{"INPUT REJECT, reject-with icmp-port-unreachable -> REJECT, reject-with tcp-reset: tcp"}},
		{"a forwarded port's target", append([]string{"*nat", "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080", "COMMIT"}, filter()...),
			append([]string{"*nat", "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.3:8080", "COMMIT"}, filter()...),
			[]string{"FORWARD ACCEPT, to 10.0.0.2 port 8080 -> ACCEPT, to 10.0.0.3 port 8080: tcp from any to any but 10.0.0.2/31 port 80 in any but lo state NEW,RELATED"}},
	}
	for _, c := range cases {
		d := diffOf(t, rule.IPv4, c.old, c.now)
		got := said(d)
		for _, want := range c.want {
			if !strings.Contains(strings.Join(got, "\n")+"\n", want+"\n") {
				t.Errorf("%s: not said: %s\nbut\n%s", c.name, want, strings.Join(got, "\n"))
			}
		}
		if c.want == nil && got != nil {
			t.Errorf("%s:\n%s", c.name, strings.Join(got, "\n"))
		}
		for i := range d.Changes {
			if d.Changes[i].Example == nil {
				t.Errorf("%s: no example for %v -> %v", c.name, d.Changes[i].Old, d.Changes[i].New)
			}
		}
	}
}

func TestFamiliesCannotBeCompared(t *testing.T) {
	_, err := NewDiff(&Subject{Ruleset: &rule.Ruleset{Family: rule.IPv4}, Source: "a"}, &Subject{Ruleset: &rule.Ruleset{Family: rule.IPv6}, Source: "b"})
	if err == nil || err.Error() != "a has rules of IPv4 and b of IPv6: rules of one family can be compared" {
		t.Error(err)
	}
}

// TestRealRulesetsBehaveLikeThemselves compares each with itself: once by the
// rules that they have in common, and once as if none were.
func TestRealRulesetsBehaveLikeThemselves(t *testing.T) {
	files, err := rulesets.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		s := subjectOf(t, f.Name, f.Text, f.Family)
		d, err := NewDiff(s, subjectOf(t, f.Name, f.Text, f.Family))
		if err != nil || len(d.Changes) > 0 {
			t.Errorf("%s: %v %v", f.FileName(), err, said(d))
		}
		a := align(s.Ruleset, s.Ruleset)
		before, after := a.models(s.Ruleset, s.Ruleset)
		for w := range wayHooks {
			if c := compareWay(before, after, simulate.Way(w), Arriving(simulate.Way(w))); len(c.order) > 0 {
				t.Errorf("%s: hook %v: %v\n%v", f.FileName(), wayHooks[w], c.order, c.found[c.order[0]])
			}
		}
	}
}

// BenchmarkDiff compares a large ruleset with itself but for one line. That a
// policy is another one concerns so many packets that it is compared for the
// smaller ruleset only.
func BenchmarkDiff(b *testing.B) {
	for _, n := range [...]int{1000, 10000} {
		text := rulesets.Mixed(rule.IPv4, n, 1)
		old := subjectOf(b, "old", text, rule.IPv4)
		before := func(prefix, line string) string { return strings.Replace(text, "\n"+prefix, "\n"+line+"\n"+prefix, 1) }
		for _, c := range []struct{ name, text string }{
			{"", before("-A services ", "-A services -p tcp -m tcp --dport 7 -j ACCEPT")},
			{"customer/", before("-A customer-00001 ", "-A customer-00001 -p udp -m udp --sport 7 -j ACCEPT")},
			{"forwarded/", before("-A PREROUTING ", "-A PREROUTING -d 192.0.2.1/32 -i eth0 -p tcp -m tcp --dport 7 -j DNAT --to-destination 10.0.0.1:7")},
			{"block/", before("-A blocklist ", "-A blocklist -s 198.51.100.0/24 -j DROP")},
			{"policy/", strings.Replace(text, ":INPUT DROP", ":INPUT ACCEPT", 1)},
		} {
			if c.name == "policy/" && n > 1000 {
				continue
			}
			now := subjectOf(b, "new", c.text, rule.IPv4)
			b.Run(c.name+fmt.Sprint(n), func(b *testing.B) {
				for b.Loop() {
					d, err := NewDiff(old, now)
					if err != nil || len(d.Changes) == 0 {
						b.Fatalf("%v, %d changes", err, len(d.Changes))
					}
				}
			})
		}
	}
}
