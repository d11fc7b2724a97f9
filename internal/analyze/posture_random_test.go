package analyze

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// randomFirewall is a ruleset as people write them, with mistakes: lines are left
// out, come twice, in the wrong order, or with one condition too few or too many.
func randomFirewall(r *rand.Rand, f rule.Family) string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	net, icmp := "10.0.0.0/8", "-p icmp"
	if f == rule.IPv6 {
		net, icmp = "fd00::/8", "-p ipv6-icmp"
	}
	var s strings.Builder
	if r.IntN(4) == 0 {
		s.WriteString("*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp --dport 21 -j CT --helper ftp\nCOMMIT\n")
	}
	if r.IntN(3) == 0 {
		s.WriteString("*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -s " + net + " -o eth0 -j MASQUERADE\nCOMMIT\n")
	}
	s.WriteString("*filter\n:INPUT " + pick("ACCEPT", "DROP", "DROP") + "\n:FORWARD " + pick("ACCEPT", "DROP") + "\n:OUTPUT " + pick("ACCEPT", "ACCEPT", "DROP") + "\n:services -\n:refuse -\n")
	lines := []string{
		"-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate " + pick("RELATED,ESTABLISHED", "ESTABLISHED", "NEW,ESTABLISHED") + " -j ACCEPT",
		"-A INPUT " + icmp + " -j " + pick("ACCEPT", "DROP"), "-A INPUT " + pick("", "-i eth0 ", "! -i eth0 ") + "-j services",
		"-A INPUT -m conntrack --ctstate INVALID -j " + pick("DROP", "refuse"), "-A OUTPUT -o lo -j ACCEPT", "-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
		"-A INPUT -s " + net + pick("", " -i eth1", " -p tcp --dport 22") + " -j ACCEPT", "-A INPUT -p " + pick("tcp", "udp") + " --sport " + pick("53", "80", "443") + " -j ACCEPT",
		"-A INPUT " + pick("-m limit --limit 5/min ", "", "-p tcp ") + "-j LOG", "-A INPUT -j " + pick("DROP", "REJECT", "refuse", "ACCEPT"), "-A OUTPUT -p udp --dport 53 -j ACCEPT",
	}
	for range 3 + r.IntN(5) {
		lines = append(lines, fmt.Sprintf("-A services %s-p tcp --dport %s -j %s", pick("", "", "-s "+net+" ", "-i eth1 ", "-m limit --limit 9/sec "),
			pick("22", "80", "443", "3306", "5432", "6379", "27017", "5000:6000"), pick("ACCEPT", "ACCEPT", "DROP")))
	}
	for i, line := range lines {
		if r.IntN(5) == 0 {
			other := r.IntN(len(lines))
			lines[i], lines[other] = lines[other], line
		}
	}
	for _, line := range lines {
		if r.IntN(4) > 0 {
			s.WriteString(line + "\n")
		}
	}
	s.WriteString("-A refuse " + pick("", "-m limit --limit 5/min ") + "-j LOG\n-A refuse -j DROP\n")
	return s.String() + "COMMIT\n"
}

// TestPostureHoldsOnRandomFirewalls asks the plain walk again about each finding:
// its example, what it says of all sources or ports, and what is left of it
// when its commands have been carried out.
func TestPostureHoldsOnRandomFirewalls(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	found, fixed, points := map[string]int{}, 0, 0
	for range 70 {
		text := [2]string{randomFirewall(r, rule.IPv4), randomFirewall(r, rule.IPv6)}
		in := AuditInput{Subjects: []*Subject{subject(t, rule.IPv4, text[0]), subject(t, rule.IPv6, text[1])}}
		for _, f := range audit(t, in, postureNames[:]...) {
			found[f.Name]++
			what := fmt.Sprintf("%s\n%s%s %v %v: %s", text[0], text[1], f.Name, f.Place.Family, f.Place, f.Says)
			if f.Example == nil {
				t.Fatalf("%s\nno example", what)
			}
			if v := f.subject.verdictOf(f.Example.Text); v != f.Example.Verdict {
				t.Fatalf("%s\n%s is %v", what, f.Example.Text, v)
			}
			if !stillOpen(&f) {
				t.Fatalf("%s\n%s is no witness", what, f.Example.Text)
			}
			points += holdsElsewhere(t, r, &f, what)
			if f.Fix == nil {
				continue
			}
			fixed++
			after := mendedInput(t, in, &f)
			if hasFinding(t, after, &f) || !isMended(after, &f) {
				t.Fatalf("%s\nis still so after\n%s", what, strings.Join(f.Fix.Commands, "\n"))
			}
		}
	}
	t.Log(found, fixed, "fixes", points, "points")
	for _, name := range postureNames {
		if found[name] < 5 && name != "docker-past-input" && name != "legacy-in-force" {
			t.Errorf("only %d of %s", found[name], name)
		}
	}
}

// stillOpen reports whether an example's verdict is one that the finding is about.
func stillOpen(f *Finding) bool {
	switch f.Name {
	case "no-loopback", "no-established", "icmpv6-needed", "icmp-needed":
		return f.Example.Verdict == simulate.Drop || f.Example.Verdict == simulate.Reject
	case "log-without-limit":
		return true
	}
	return f.Example.Verdict == simulate.Accept
}

// holdsElsewhere asks about other sources and ports than the finding was found by.
func holdsElsewhere(t *testing.T, r *rand.Rand, f *Finding, what string) int {
	t.Helper()
	s, other := f.subject, 0
	const tries = 60
	for range tries {
		q, err := question.Parse(f.Example.Text, question.Options{Family: s.Family})
		if err != nil {
			t.Fatal(err)
		}
		p := &q.Packet
		switch f.Name {
		case "open-service", "family-gap", "policy-accept", "new-unneeded":
			p.Src = publicAddress(r, s.Family)
			if f.Name == "policy-accept" {
				p.Transport.Src = uint16(1024 + r.IntN(60000))
			}
		case "no-loopback":
			p.Transport.Dst = uint16(7000 + r.IntN(50000)) // of which no rule speaks
		case "no-established", "icmp-needed":
			p.Src = publicAddress(r, s.Family)
			if p.Hook == rule.Output || q.Way == simulate.Out {
				continue
			}
		default:
			continue
		}
		got := s.Firewall().Walk(*p, simulate.Options{Way: q.Way, Fixed: q.Fixed, NoTrace: true})
		if (got.Verdict == simulate.Accept) != (f.Example.Verdict == simulate.Accept) {
			other++
		}
	}
	if other > tries/4 {
		t.Fatalf("%s\n%d of %d other packets meet another fate", what, other, tries)
	}
	return tries
}

func publicAddress(r *rand.Rand, f rule.Family) netip.Addr {
	for {
		b := [16]byte{0x2a, byte(r.IntN(16))}
		for i := 2; i < 16; i++ {
			b[i] = byte(r.IntN(256))
		}
		a := netip.AddrFrom16(b)
		if f == rule.IPv4 {
			a = netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), b[3], b[4], b[5]})
		}
		if !isBogon(a) {
			return a
		}
	}
}

// mendedInput is the input with a finding's commands carried out on the family that they name.
func mendedInput(t *testing.T, in AuditInput, f *Finding) AuditInput {
	t.Helper()
	var out AuditInput
	for _, s := range in.Subjects {
		if strings.HasPrefix(f.Fix.Commands[0], s.Family.Program()+" ") {
			if s = s.after(f.Fix.Ops); s == nil {
				t.Fatalf("%v is refused", f.Fix.Commands)
			}
		} else {
			s = &Subject{Ruleset: s.Ruleset, Source: s.Source}
		}
		out.Subjects = append(out.Subjects, s)
	}
	return out
}

// isMended reports whether the example's packet meets the other fate now, if the
// finding is about its fate, and mended in the ruleset that it is about.
func isMended(after AuditInput, f *Finding) bool {
	if f.Name == "log-without-limit" || !strings.HasPrefix(f.Fix.Commands[0], f.subject.Family.Program()+" ") {
		return true
	}
	for _, s := range after.Subjects {
		if s.Family == f.subject.Family {
			return (s.verdictOf(f.Example.Text) == simulate.Accept) != (f.Example.Verdict == simulate.Accept)
		}
	}
	return false
}

// hasFinding reports whether the same is found again: the same kind, with an
// example whose packet goes the same way to the same port.
func hasFinding(t *testing.T, in AuditInput, f *Finding) bool {
	key := func(g *Finding) string {
		q, err := question.Parse(g.Example.Text, question.Options{Family: g.subject.Family})
		if err != nil {
			t.Fatal(err)
		}
		port := 0
		if q.Packet.Has(packet.KnowDstPort) {
			port = int(q.Packet.Transport.Dst)
		}
		if g.Name == "new-unneeded" {
			port = int(q.Packet.Transport.Src)
		}
		return fmt.Sprint(g.Name, g.Says, g.subject.Family, q.Way, port)
	}
	for _, g := range audit(t, in, f.Name) {
		if g.Example != nil && key(&g) == key(f) && g.Place.Text == f.Place.Text {
			return true
		}
	}
	return false
}
