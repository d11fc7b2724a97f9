package traffic

import (
	"testing"

	"moat/internal/lab"
)

// inet is the word by which ipset knows a family.
func (f family) inet() string {
	if f == ipv4 {
		return "inet"
	}
	return "inet6"
}

func TestSetFollowsItsMembers(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54")
		n.Server.Sh("ipset create bad hash:ip family " + f.inet() + "; ipset create door hash:ip,port family " + f.inet() +
			"; ipset add door " + f.client + ",udp:54")
		f.rules(n.Server,
			"-A INPUT -p udp --dport 53 -m set --match-set bad src -j DROP",
			"-A INPUT -p udp --dport 54 -m set ! --match-set door src,dst -j DROP")
		dns, door := lab.UDP(lab.At(f.server, 53)), lab.UDP(lab.At(f.server, 54))
		n.Client.Expect(dns.From(f.blocked), lab.Open)
		n.Server.Sh("ipset add bad " + f.blocked)
		n.Client.Expect(dns.From(f.blocked), lab.Silent)
		n.Client.Expect(dns, lab.Open)
		n.Server.Sh("ipset del bad " + f.blocked)
		n.Client.Expect(dns.From(f.blocked), lab.Open)

		n.Client.Expect(door, lab.Open)
		n.Client.Expect(door.From(f.blocked), lab.Silent)
	})
}

// "SET: adds and/or deletes entries from IP sets".
func TestSetTargetWritesMembers(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("udp 1000,2000,22")
		n.Server.Sh("ipset create seen hash:ip family " + f.inet())
		f.rules(n.Server,
			"-A INPUT -p udp --dport 1000 -j SET --add-set seen src",
			"-A INPUT -p udp --dport 2000 -j SET --del-set seen src",
			"-A INPUT -p udp --dport 22 -m set ! --match-set seen src -j DROP")
		door := lab.UDP(lab.At(f.server, 22))
		n.Client.Expect(door, lab.Silent)
		n.Client.Expect(lab.UDP(lab.At(f.server, 1000)), lab.Open)
		n.Server.Sh("ipset test seen " + f.client)
		n.Client.Expect(door, lab.Open)
		n.Client.Expect(door.From(f.blocked), lab.Silent)
		n.Client.Expect(lab.UDP(lab.At(f.server, 2000)), lab.Open)
		n.Client.Expect(door, lab.Silent)
	})
}
