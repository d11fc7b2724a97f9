package secure

import (
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/rule"
)

// restore gives a proposal to Debian's restore programs.
func restore(t *testing.T, h *lab.Host, p *Proposal) {
	t.Helper()
	for _, f := range p.Families {
		c := h.Command(f.Family.Program()+"-nft-restore", "--noflush")
		c.Stdin = strings.NewReader(string(f.Text()))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, f.Text())
		}
	}
}

// saved is what Debian's save program prints, without comments.
func saved(t *testing.T, h *lab.Host, f rule.Family) string {
	t.Helper()
	out, err := h.Sh(f.Program() + "-nft-save | grep -v ^#")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheKernelHasWhatWasProposed loads every sample's rules into a kernel, then
// its proposal, and the proposal after that.
func TestTheKernelHasWhatWasProposed(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		if s.rules == "kube-proxy" {
			continue // its accounting objects are not there
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			h := lab.Netns(t)
			in, o, p := s.propose(t)
			for _, rs := range in.Rules {
				c := h.Command(rs.Family.Program() + "-nft-restore")
				c.Stdin = strings.NewReader(savedText(rs))
				if out, err := c.CombinedOutput(); err != nil {
					t.Skipf("the rules that are there do not load here: %s", out)
				}
			}
			restore(t, h, p)
			first := map[rule.Family]string{}
			again := *in
			again.Rules = nil
			for _, f := range p.Families {
				first[f.Family] = saved(t, h, f.Family)
				again.Rules = append(again.Rules, mustRules(t, f.Family, first[f.Family]))
				if got, want := filterOf(first[f.Family]), filterOf(savedText(f.After)); got != want {
					t.Errorf("%s: the kernel has\n%s\nmust be\n%s", f.Family.Name(), got, want)
				}
			}
			second, err := Propose(&again, o)
			if err != nil {
				t.Fatal(err)
			}
			restore(t, h, second)
			for _, f := range second.Families {
				if got := saved(t, h, f.Family); got != first[f.Family] {
					t.Errorf("%s: after the second time\n%s\nmust be\n%s", f.Family.Name(), got, first[f.Family])
				}
			}
		})
	}
}

// filterOf is table filter of a text in save format, its chains sorted as the
// kernel has them or not.
func filterOf(text string) string {
	_, text, _ = strings.Cut(text, "*filter\n")
	text, _, _ = strings.Cut(text, "COMMIT\n")
	var rules []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "-A ") || strings.Contains(line, " DROP ") {
			rules = append(rules, line)
		}
	}
	return strings.Join(rules, "")
}

// TestPacketsMeetTheProposal sends real packets, IPv4 and IPv6.
func TestPacketsMeetTheProposal(t *testing.T) {
	t.Parallel()
	n := lab.NewRouted(t)
	if err := n.Server.Echo("tcp 22,80,5432,3306 udp 53,5353"); err != nil {
		t.Fatal(err)
	}
	n.Server.RunShell("iptables-nft -A INPUT -m conntrack --ctstate NEW; ip6tables-nft -A INPUT -m conntrack --ctstate NEW") // begins tracking
	live := map[string]*lab.Conn{}
	for _, server := range []string{lab.ServerAddr, lab.ServerAddr6} {
		c, err := n.Client.Dial(lab.TCP(lab.At(server, 3306))) // it was there before, to a port that is closed now
		if err != nil {
			t.Fatal(err)
		}
		live[server] = c
	}
	in := Input{Names: noNames(), Facts: facts(), Rules: rulesOf(t, ""), Listeners: listens("tcp 0.0.0.0:22 sshd")}
	p, err := Propose(&in, &Options{Allow: mustAllow(t, "http,dns/udp,5432 from "+lab.BlockedAddr+","+lab.BlockedAddr6), LimitSSH: true, Log: true})
	if err != nil {
		t.Fatal(err)
	}
	restore(t, n.Server, p)
	for server, other := range map[string]string{lab.ServerAddr: lab.BlockedAddr, lab.ServerAddr6: lab.BlockedAddr6} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			n.Client.Expect(lab.TCP(lab.At(server, 22)), lab.Open)
			n.Client.Expect(lab.TCP(lab.At(server, 80)).From(other), lab.Open)
			n.Client.Expect(lab.UDP(lab.At(server, 53)), lab.Open)
			n.Client.Expect(lab.UDP(lab.At(server, 5353)), lab.Silent)
			n.Client.Expect(lab.TCP(lab.At(server, 5432)).From(other), lab.Open)
			n.Client.Expect(lab.TCP(lab.At(server, 5432)), lab.Silent)
			n.Client.Expect(lab.TCP(lab.At(server, 3306)), lab.Silent)
			n.Client.Expect(lab.Ping(server), lab.Open)
			n.Server.Expect(lab.TCP(lab.At(server, 3306)), lab.Open) // to itself
			if got := live[server].Alive(lab.LongWait); got.State != lab.Open {
				t.Errorf("a connection that was there, to a port that is closed now: %v", got)
			}
		})
	}
}

// TestSSHLimitStopsManyLoginsAndNoneThatIsThere logs in until it is too much.
func TestSSHLimitStopsManyLoginsAndNoneThatIsThere(t *testing.T) {
	t.Parallel()
	n := lab.NewRouted(t)
	if err := n.Server.Echo("tcp 22"); err != nil {
		t.Fatal(err)
	}
	in := Input{Names: noNames(), Facts: facts(), Rules: rulesOf(t, ""), Listeners: listens("tcp 0.0.0.0:22 sshd")}
	p, err := Propose(&in, &Options{LimitSSH: true})
	if err != nil {
		t.Fatal(err)
	}
	before, err := n.Client.Dial(lab.TCP(lab.At(lab.ServerAddr, 22))) // tracking does not know it
	if err != nil {
		t.Fatal(err)
	}
	restore(t, n.Server, p)
	after, err := n.Client.Dial(lab.TCP(lab.At(lab.ServerAddr, 22)))
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		n.Client.Expect(lab.TCP(lab.At(lab.ServerAddr, 22)), lab.Open)
	}
	n.Client.Expect(lab.TCP(lab.At(lab.ServerAddr, 22)), lab.Silent)
	n.Client.Expect(lab.TCP(lab.At(lab.ServerAddr, 22)).From(lab.BlockedAddr), lab.Open)
	for name, c := range map[string]*lab.Conn{"older than the rules": before, "of the ten": after} {
		if got := c.Alive(lab.LongWait); got.State != lab.Open {
			t.Errorf("a connection %s: %v", name, got)
		}
	}
}
