package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "--hashlimit-upto amount[/second|/minute|/hour|/day]" with a bucket for each
// value of --hashlimit-mode; --hashlimit-burst is how many a full bucket holds.
func TestHashlimitGivesEachSourceItsOwnBucket(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -p udp -m hashlimit --hashlimit-upto 1/hour --hashlimit-mode srcip --hashlimit-name n -j ACCEPT")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54")
		limit := "-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 3 --hashlimit-mode srcip --hashlimit-name "
		f.rules(n.Server,
			"-A INPUT -p udp --dport 53 "+limit+"dns -j ACCEPT",
			"-A INPUT -p udp --dport 54 "+limit+"net --hashlimit-srcmask 24 -j ACCEPT",
			"-A INPUT -p udp -j DROP")
		dns, net := lab.UDP(lab.At(f.server, 53)), lab.UDP(lab.At(f.server, 54))
		for range 3 {
			n.Client.Expect(dns, lab.Open)
			n.Client.Expect(net, lab.Open)
		}
		n.Client.Expect(dns, lab.Silent)
		n.Client.Expect(dns.From(f.blocked), lab.Open)
		n.Client.Expect(net.From(f.blocked), lab.Silent) // the /24 shares one bucket
	})
}

// "--hashlimit-above: Match if the rate is above amount/quantum".
func TestHashlimitAboveMatchesWhatIsTooMuch(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -p udp -m hashlimit --hashlimit-above 1/hour --hashlimit-name n -j DROP")
		n := lab.NewPair(t)
		one := " --hashlimit-burst 1 --hashlimit-name "
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-p udp -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 4 --hashlimit-name all", 6},
			{"-p udp -m hashlimit --hashlimit-above 1/hour --hashlimit-mode dstport" + one + "port", 8},
			{"-p udp -m hashlimit --hashlimit-upto 1/hour --hashlimit-mode srcip,dstport" + one + "both", 2},
			{"-p udp -m hashlimit --hashlimit-upto 1000/sec --hashlimit-burst 1000 --hashlimit-name wide", 10},
		}, 10, func() {
			for range 5 {
				n.Client.Send(f.udp(7, "x"))
				n.Client.Send(f.udp(9, "x"))
			}
		})
	})
}
