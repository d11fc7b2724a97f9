package traffic

import (
	"testing"

	"moat/internal/lab"
)

// The tutorial's server: answers to its own questions come in, and nothing new
// but what a rule names.
func TestConntrackLetsAnswersIn(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("tcp 22,80")
		n.Client.Echo("tcp 80 udp 53")
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Open)
		f.rules(n.Server,
			"-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			"-A INPUT -p tcp --dport 22 -m state --state NEW -j ACCEPT",
			"-A INPUT -p ipv6-icmp -j ACCEPT",
			"-P INPUT DROP")
		n.Client.Expect(lab.TCP(lab.At(f.server, 22)), lab.Open)
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Silent)
		n.Server.Expect(lab.TCP(lab.At(f.client, 80)), lab.Open)
		n.Server.Expect(lab.UDP(lab.At(f.client, 53)), lab.Open)
		f.rules(n.Server, "-D INPUT 1")
		n.Server.Expect(lab.UDP(lab.At(f.client, 53)), lab.Silent)
	})
}

// An ICMP error about a packet that this host sent is RELATED; a TCP FIN of no
// connection is INVALID.
func TestConntrackStates(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("udp 53")
		n.Client.Echo("udp 53")
		// The client knows nothing of the answers to packets built by hand, and would complain of them.
		f.rules(n.Client, "-A OUTPUT "+f.icmpMatch("destination-unreachable")+" -j DROP")
		question := f.udp(53, "x")
		f.count(t, n.Server, "mangle", "INPUT", []counted{
			{"-p udp -m conntrack --ctstate NEW", 1},
			{"-p udp -m conntrack --ctstate ESTABLISHED", 2},
			{"-p udp -m conntrack --ctstate ESTABLISHED --ctdir REPLY", 1},
			{"-p udp -m conntrack --ctdir ORIGINAL", 2},
			{"-p udp -m conntrack --ctstate NEW --ctorigsrc " + f.client + " --ctorigdstport 53 --ctproto udp", 1},
			{"-p udp -m conntrack --ctorigsrc " + f.server + " --ctreplsrc " + f.client, 1},
			{"-p udp -m conntrack --ctstatus SEEN_REPLY", 2},
			{"-p tcp -m state --state INVALID", 1},
			{"-m conntrack ! --ctstate INVALID", 3},
		}, 4, func() {
			n.Server.Expect(lab.UDP(lab.At(f.client, 53)), lab.Open) // its answer: ESTABLISHED
			answers := watch(t, n.Client)
			n.Client.Send(question) // NEW
			if _, ok := sees(t, answers, lab.LongWait, func(p lab.Packet) bool { return p.Src == question.Dst }); !ok {
				t.Fatal("no answer from port 53")
			}
			n.Client.Send(question) // ESTABLISHED
			fin := question
			fin.Proto, fin.Flags = lab.ProtoTCP, lab.FIN|lab.ACK
			fin.Dst = at(f.server, 81)
			n.Client.Send(fin)
		})
	})
}

func TestConntrackRelatesErrors(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		f.rules(n.Server, "-A INPUT -p "+f.icmp+" -m conntrack --ctstate RELATED")
		p := lab.UDP(lab.At(f.client, 81))
		n.Server.Expect(p, lab.Refused)
		f.wantPackets(t, n.Server, rule{"filter", "INPUT", 1}, 1)
		f.rules(n.Server, "-A INPUT -m conntrack --ctstate RELATED -j DROP")
		n.Server.Expect(p, lab.Silent)
	})
}
