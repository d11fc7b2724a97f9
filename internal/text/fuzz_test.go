package text

import (
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// roundTrip prints the rules of a script, reads them again and compares what
// then is printed. Names of chains that no command can give are left out.
func roundTrip(t *testing.T, f rule.Family, ops []change.Op, names *netdb.DB) {
	p := &ext.Printer{Family: f, Names: names}
	for i := range ops {
		op := &ops[i]
		if op.Rule == nil || op.Kind != change.Append {
			continue
		}
		p.B = p.B[:0]
		AppendRule(p, op.Chain, op.Rule, OptionCounters)
		first := string(p.B)
		if strings.Contains(strings.TrimSuffix(first, "\n"), "\n") {
			continue // a newline in a name: the save format has no way to write it
		}
		if !strings.HasSuffix(first, "\n") {
			first += "\n"
		}
		s, err := ParseRestore(f, "iptables-restore", []byte("*"+op.Table+"\n"+first+"COMMIT\n"), RestoreOptions{}, names)
		if err != nil {
			t.Fatalf("%q is printed and cannot be read: %v", first, err)
		}
		if len(s.Ops) != 2 {
			t.Fatalf("%q is read as %d operations", first, len(s.Ops)-1)
		}
		p.B = p.B[:0]
		AppendRule(p, s.Ops[1].Chain, s.Ops[1].Rule, OptionCounters)
		if second := strings.TrimSuffix(string(p.B), "\n") + "\n"; second != first {
			t.Fatalf("%q is read as %q", first, second)
		}
	}
}

// FuzzCommand reads any command line, its words parted by newlines.
func FuzzCommand(f *testing.F) {
	for _, line := range []string{
		"-A INPUT -s 10.1.2.3/8,1.2.3.4 -p tcp -m tcp --dport 22:23 -j DROP",
		"-A FORWARD ! -i eth0 ! -o eth1 ! -p tcp ! -s 1.1.1.1 ! -d 2.2.2.2 ! -f -g u",
		"-vnxL INPUT 3 --line-numbers", "-Z INPUT -L", "-I INPUT 3 -m limit --limit 5/m --limit-burst 3 -j RETURN",
		"-A INPUT -p tcp --tcp-flags ALL SYN ! --tcp-option 5 -c 1 2", "-N x", "-E a b", "-P INPUT DROP", "-D INPUT 4",
		"-w10 -t nat -R OUTPUT 1 -m mark --mark 0x1/0xff -m comment --comment x", "-p icmp -h", "-4 -6 -V",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\n"), false)
		f.Add(strings.ReplaceAll(line, " ", "\n"), true)
	}
	f.Fuzz(func(t *testing.T, line string, six bool) {
		family := rule.IPv4
		if six {
			family = rule.IPv6
		}
		names := someNames()
		cmd, err := ParseCommand(family, family.Program(), strings.Split(line, "\n"), names)
		if err != nil {
			if err.Error() == "" || ExitCode(err) == 0 {
				t.Fatalf("%#v says nothing", err)
			}
			return
		}
		if strings.ContainsAny(line, "\x00") {
			return // no command line can hold it
		}
		roundTrip(t, family, cmd.Ops, names)
	})
}

// FuzzRestore reads any file.
func FuzzRestore(f *testing.F) {
	for _, text := range []string{
		"*filter\n:INPUT DROP [1:2]\n:foo - [0:0]\n[3:4] -A INPUT -m comment --comment \"a \\\"b\" -j foo\nCOMMIT\n",
		"# c\n*nat\n-A PREROUTING -p tcp --dport 80 -g x\n-I x 1\n-F\n-X\n-Z\n-P OUTPUT ACCEPT\nCOMMIT\n*filter\nCOMMIT",
		"*raw\n-4 -A OUTPUT -s 10/8\n-6 -A OUTPUT -s ::1\n\"-A\" PREROUTING -i \"e th\"\nCOMMIT\n",
		"*mangle\n-A INPUT -c 5,6 -m mark --mark 1 -m limit\n-D INPUT 1\n-R INPUT 1 -j DROP\n-E a b\nCOMMIT\n",
	} {
		for mode := range uint8(4) {
			f.Add(text, mode)
		}
	}
	f.Fuzz(func(t *testing.T, text string, mode uint8) {
		family := rule.IPv4
		if mode&1 != 0 {
			family = rule.IPv6
		}
		names := someNames()
		o := RestoreOptions{Counters: mode&2 != 0, NoFlush: mode&4 != 0}
		s, err := ParseRestore(family, "iptables-restore", []byte(text), o, names)
		if err != nil {
			if err.Error() == "" || ExitCode(err) == 0 {
				t.Fatalf("%#v says nothing", err)
			}
			return
		}
		roundTrip(t, family, s.Ops, names)
	})
}
