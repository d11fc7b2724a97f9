package traffic

import (
	"testing"

	"moat/internal/lab"
)

// --set puts the sender's address on a list, --rcheck asks for it, --remove
// takes it off: a door that opens for those who have knocked.
func TestRecentRemembersWhoKnocked(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m recent --name knock --set")
		n := lab.NewPair(t)
		n.Server.Echo("udp 22,1000,2000")
		f.rules(n.Server,
			"-A INPUT -p udp --dport 1000 -m recent --name knock --set -j ACCEPT",
			"-A INPUT -p udp --dport 2000 -m recent --name knock --remove -j ACCEPT",
			"-A INPUT -p udp --dport 22 -m recent --name knock --rcheck --seconds 600 -j ACCEPT",
			"-A INPUT -p udp -j DROP")
		ssh, knock, leave := lab.UDP(lab.At(f.server, 22)), lab.UDP(lab.At(f.server, 1000)), lab.UDP(lab.At(f.server, 2000))
		n.Client.Expect(ssh, lab.Silent)
		n.Client.Expect(leave, lab.Silent) // --remove matches only who is on the list
		n.Client.Expect(knock, lab.Open)
		n.Client.Expect(ssh, lab.Open)
		n.Client.Expect(ssh.From(f.blocked), lab.Silent)
		n.Client.Expect(leave, lab.Open)
		n.Client.Expect(ssh, lab.Silent)
	})
}

// "--hitcount hits: … narrow the match to only happen when the address is in
// the list and packets had been received greater than or equal to the given
// value"; --update adds the packet to the count when it matches, --rdest keeps
// the address that was sent to.
func TestRecentHitcountAndDestination(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m recent --name seen --rcheck --hitcount 3")
		n := lab.NewPair(t)
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-m recent --name seen --set", 6}, // every packet
			{"-m recent --name seen --rcheck --hitcount 3", 4},
			{"-m recent --name seen --rcheck --hitcount 7", 0},
			{"-m recent --name seen ! --rcheck --hitcount 5", 4},
			{"-m recent --name to --rdest --set", 6},
			{"-s " + f.blocked + " -m recent --name to --rsource --rcheck", 0},
			{"-m recent --name to --rdest --rcheck --hitcount 6", 1},
		}, 6, func() {
			for range 6 {
				n.Client.Send(f.udp(9, "x"))
			}
		})
	})
}
