package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "SYNPROXY: This target will process TCP three-way-handshake parallel in
// netfilter context to protect either local or backend system": the server
// hears of a connection only when the client has answered the SYN-ACK.
func TestSynproxyAnswersInTheServersPlace(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A FORWARD -p tcp -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1400")
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80")
		// From an address that nobody has, so that nothing resets the connection.
		syn := lab.Packet{Src: at(f.inNet(f.client), 4000), Dst: at(f.server, 80), Proto: lab.ProtoTCP, Flags: lab.SYN}
		server := watch(t, n.Server)
		n.Client.Send(syn)
		isSyn := func(p lab.Packet) bool { return p.Src == syn.Src && p.Flags&lab.SYN != 0 }
		if _, ok := sees(t, server, lab.LongWait, isSyn); !ok {
			t.Fatal("without a rule the SYN does not reach the server")
		}

		n.Router.SetSysctl("netfilter/nf_conntrack_tcp_loose", "0")
		f.rules(n.Router,
			"-t raw -A PREROUTING -i eth0 -p tcp --dport 80 --syn -j CT --notrack",
			"-A FORWARD -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1400",
			"-A FORWARD -m conntrack --ctstate INVALID -j DROP")
		syn.Src = at(f.inNet(f.client), 4001)
		n.Client.Send(syn)
		if p, ok := sees(t, server, lab.ShortWait, isSyn); ok {
			t.Errorf("the server saw %v", p)
		}
		f.wantPackets(t, n.Router, rule{"filter", "FORWARD", 1}, 1)
		f.wantPackets(t, n.Router, rule{"raw", "PREROUTING", 1}, 1)
		r := n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Open)
		if r.Server != "server" || r.Seen.Addr().String() != f.client {
			t.Errorf("%q answers, and sees %v; want the server, and %s", r.Server, r.Seen, f.client)
		}
	})
}

// The SYN-ACK of the proxy carries the --mss of the rule.
func TestSynproxyOffersItsOptions(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -p tcp -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --mss 1234")
		n := lab.NewPair(t)
		n.Server.Echo("tcp 80")
		n.Server.SetSysctl("netfilter/nf_conntrack_tcp_loose", "0")
		f.rules(n.Server,
			"-t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack",
			"-A INPUT -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --mss 1234",
			"-A INPUT -m conntrack --ctstate INVALID -j DROP")
		f.rules(n.Client, "-A INPUT -p tcp --tcp-flags SYN,ACK SYN,ACK -m tcpmss --mss 1234",
			"-A INPUT -p tcp --tcp-flags SYN,ACK SYN,ACK -m tcpmss ! --mss 1234")
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Open)
		f.wantPackets(t, n.Client, rule{"filter", "INPUT", 1}, 1)
		f.wantPackets(t, n.Client, rule{"filter", "INPUT", 2}, 0)
	})
}
