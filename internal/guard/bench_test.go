package guard

import (
	"fmt"
	"strings"
	"testing"

	"moat/internal/kernel"
)

// thousandRules is a firewall with a block list before the rules that let in.
func thousandRules() string {
	var b strings.Builder
	b.WriteString("iptables-restore <*filter|:INPUT DROP|-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
	for i := range 1000 {
		fmt.Fprintf(&b, "|-A INPUT -s 10.%d.%d.0/24 -p tcp --dport %d -j DROP", i/256, i%256, 1000+i)
	}
	b.WriteString("|-A INPUT -p tcp --dport 22 -j ACCEPT|COMMIT")
	return b.String()
}

// thousandPorts is a firewall whose rules all tell the client's ports apart.
func thousandPorts() string {
	var b strings.Builder
	b.WriteString("iptables-restore <*filter|:INPUT ACCEPT")
	for i := range 1000 {
		fmt.Fprintf(&b, "|-A INPUT -p tcp --sport %d --dport 22 -j DROP", 33000+2*i)
	}
	b.WriteString("|COMMIT")
	return b.String()
}

// BenchmarkChange is one change in this process: by nobody, by somebody whom it
// cannot touch, and by somebody for whom all rules have to be read and tried.
func BenchmarkChange(b *testing.B) {
	for _, c := range [...]struct {
		name, order string
		unguarded   bool
		rules       string
	}{
		{"unguarded", "iptables -A INPUT -p tcp -j DROP", true, thousandRules()},
		{"untouched", "iptables -A INPUT -s 192.0.2.1 -p tcp -j DROP", false, thousandRules()},
		{"judged", "iptables -A INPUT -p tcp -j DROP", false, thousandRules()},
		{"judged, with ports", "iptables -A INPUT -p tcp --sport 50600:50602 -j DROP", false, thousandPorts()},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newServer(b, overIPv4)
			err := s.Server.Do(func() error {
				s.prepare(c.rules)
				order, undo := s.script(c.order), s.script(strings.Replace(c.order, "-A", "-D", 1))
				for b.Loop() {
					var g kernel.Gate = kernel.Unguarded
					if !c.unguarded {
						g = s.guard()
					}
					if err := s.give(g, order); err != nil {
						return err
					}
					b.StopTimer()
					if err := s.give(kernel.Unguarded, undo); err != nil {
						return err
					}
					b.StartTimer()
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
