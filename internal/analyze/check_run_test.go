package analyze

import (
	"net/netip"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/packet"
	"moat/internal/rule"
)

// setHost is a host that knows what is in an ipset, and nothing else.
type setHost struct{ in []netip.Addr }

func (setHost) AddressType(netip.Addr, string) (packet.AddressType, bool) { return 0, false }
func (setHost) ReversePath(netip.Addr, string, bool) (ok, known bool)     { return false, false }
func (setHost) Route(*packet.Packet) (packet.Route, bool)                 { return packet.Route{}, false }
func (setHost) InterfaceAddress(string, rule.Family, netip.Addr) (netip.Addr, bool) {
	return netip.Addr{}, false
}

func (h setHost) InSet(_ string, _ []string, p *packet.Packet) (in, known bool) {
	for _, a := range h.in {
		in = in || a == p.Src
	}
	return in, true
}

// runSuite runs a file of tests under IPv4 rules of table filter.
func runSuite(t *testing.T, h packet.Host, rules, file string) ([]TestResult, error) {
	t.Helper()
	r, err := load.Text("rules.v4", []byte("*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\n"+rules+"\nCOMMIT\n"), rule.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSuite("t.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.Run([]*Subject{NewSubject(r, h != nil)}, CheckOptions{Host: h})
}

func TestSetOfPacketsHangsOnWhatTheHostKnows(t *testing.T) {
	const rules = "-A INPUT -m set --match-set bad src -j DROP"
	const file = "tests:\n  - {name: x, packet: tcp from 10.0.0.6-10.0.0.7 to 10.0.1.1:22 in eth0, expect: drop}\n"
	seven := netip.MustParseAddr("10.0.0.7")
	cases := []struct {
		name string
		host packet.Host
		file string
		want TestOutcome
	}{
		{"nobody knows", nil, file, TestUnknown},
		{"not in the set", setHost{}, file, TestFailed},
		{"the packet shown is in the set", setHost{[]netip.Addr{seven}}, file, TestUnknown},
		{"assumed to be in", nil, strings.Replace(file, "expect", "assume: {set: yes}, expect", 1), TestPassed},
		{"assumed to be out", nil, strings.Replace(file, "expect", "assume: {set: no}, expect", 1), TestFailed},
	}
	for _, c := range cases {
		results, err := runSuite(t, c.host, rules, c.file)
		if err != nil {
			t.Fatal(err)
		}
		p := &results[0].Packets[0]
		if results[0].Outcome != c.want || p.Outcome != c.want {
			t.Errorf("%s: %v, want %v: %+v", c.name, results[0].Outcome, c.want, p.Against)
		}
		if c.want == TestUnknown && (len(p.Against) != 1 || len(p.Against[0].Doubts) != 1 || !strings.Contains(p.Against[0].Doubts[0].Match, "set")) {
			t.Errorf("%s: the doubt is not named: %+v", c.name, p.Against)
		}
	}
}

func TestForksThatAgreeAreCertain(t *testing.T) {
	const rules = "-A INPUT -p tcp -m limit --limit 1/sec -j REJECT\n-A INPUT -p tcp -m comment --comment last -j DROP"
	for _, packets := range []string{"tcp 10.0.0.7 -> 10.0.1.1:22 in eth0", "tcp from 10.0.0.0/24 to 10.0.1.1:22 in eth0"} {
		for expect, want := range map[string]TestOutcome{
			"expect: blocked": TestPassed, "expect: drop": TestUnknown, "expect: accept": TestFailed, "decided by: last": TestUnknown,
			"decided by: policy": TestFailed, "expect: drop, decided by: last, assume: {limit: no}": TestPassed,
		} {
			results, err := runSuite(t, nil, rules, "tests:\n  - {name: x, packet: "+packets+", "+expect+"}\n")
			if err != nil {
				t.Fatal(err)
			}
			if results[0].Outcome != want {
				t.Errorf("%s, %s: %v, want %v", packets, expect, results[0].Outcome, want)
			}
		}
	}
}

func TestManyRulesDecideOtherwise(t *testing.T) {
	var rules []string
	for port := range 7 {
		rules = append(rules, "-A INPUT -p tcp --dport "+string(rune('1'+port))+" -j DROP")
	}
	results, err := runSuite(t, nil, strings.Join(rules, "\n"), "tests:\n  - {name: x, packet: tcp from any to any in eth0, expect: accept}\n")
	if err != nil {
		t.Fatal(err)
	}
	if p := &results[0].Packets[0]; len(p.Against) != maxAgainst || p.More != 7-maxAgainst {
		t.Errorf("%d are shown and %d more", len(p.Against), p.More)
	}
}
