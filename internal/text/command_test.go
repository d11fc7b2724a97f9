package text

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// someNames knows the names of testdata/names only, and asks no server.
func someNames() *netdb.DB {
	names := testNames()
	names.Etc = "testdata/names"
	names.Lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{IsNotFound: true}
	}
	return names
}

// words splits a command line at blanks; "_" stands for an empty argument.
func words(line string) []string {
	w := strings.Fields(line)
	for i := range w {
		if w[i] == "_" {
			w[i] = ""
		}
	}
	return w
}

// show prints operations as commands.
func show(f rule.Family, ops []change.Op, names *netdb.DB) string {
	p := &ext.Printer{Family: f, Names: names}
	var lines []string
	for i := range ops {
		op := &ops[i]
		p.B = p.B[:0]
		if op.Rule != nil {
			style := NoCounters
			if op.Rule.Counters != (rule.Counters{}) {
				style = OptionCounters
			}
			AppendRule(p, op.Chain, op.Rule, style)
		}
		lines = append(lines, strings.TrimSpace(showHead(op)+" "+strings.TrimSpace(string(p.B))))
	}
	return strings.Join(lines, "\n")
}

// showHead prints what is not the rule: the operation's number, table, names.
func showHead(op *change.Op) string {
	kinds := [...]string{
		change.Append: "append", change.Insert: "insert", change.Replace: "replace", change.Delete: "delete",
		change.DeleteNum: "delete-num", change.Check: "check", change.Flush: "flush", change.Zero: "zero",
		change.NewChain: "new", change.DeleteChain: "delete-chain", change.SetPolicy: "policy",
		change.Rename: "rename", change.ReplaceTable: "replace-table", change.DeclareChain: "declare",
		change.OpenTable: "open-table",
	}
	s := kinds[op.Kind] + " " + op.Table
	if op.Rule == nil && op.Chain != "" {
		s += " " + op.Chain
	}
	if op.Num != 0 {
		s += " " + itoa(op.Num)
	}
	if op.Kind == change.SetPolicy {
		s += " " + op.Policy.Name()
	}
	if op.Counters != nil {
		s += " [" + itoa(int(op.Counters.Packets)) + ":" + itoa(int(op.Counters.Bytes)) + "]"
	}
	if op.NewName != "" {
		s += " " + op.NewName
	}
	return s
}

// TestGood reads commands that Debian's iptables-nft takes (each was run
// there) and compares what was understood with what "iptables -S" then says.
func TestGood(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"-A INPUT", "append filter -A INPUT"},
		{"-AINPUT -s 1.2.3.4 --", "append filter -A INPUT -s 1.2.3.4/32"},
		{"-s 1.2.3.4 -j DROP -A INPUT", "append filter -A INPUT -s 1.2.3.4/32 -j DROP"},
		{"--append=c1", "append filter -A c1"},
		{"-A INPUT --sou 1.2.3.4", "append filter -A INPUT -s 1.2.3.4/32"},
		{"-A INPUT -p tcp --sou 1.2.3.4", "append filter -A INPUT -s 1.2.3.4/32 -p tcp"},
		{"-A INPUT -p tcp --source-p 1", "append filter -A INPUT -p tcp -m tcp --sport 1"},
		{"-A INPUT -p tcp -m tcp --sp 1", "append filter -A INPUT -p tcp -m tcp --sport 1"},
		{"-A INPUT --pr tcp", "append filter -A INPUT -p tcp"},
		{"-A INPUT --fragments", "append filter -A INPUT -f"},
		{"-A INPUT -f", "append filter -A INPUT -f"},
		{"-A INPUT ! -f", "append filter -A INPUT ! -f"},
		{"-A INPUT -p tcp --dport=22", "append filter -A INPUT -p tcp -m tcp --dport 22"},
		{"-A INPUT -p tcp ! --dport 22", "append filter -A INPUT -p tcp -m tcp ! --dport 22"},
		{"-A INPUT -p 0x6 --dport 1", "append filter -A INPUT -p tcp -m tcp --dport 1"},
		{"-A INPUT -p TcP --dport 1", "append filter -A INPUT -p tcp -m tcp --dport 1"},
		{"-A INPUT -p all", "append filter -A INPUT"},
		{"-A INPUT -p 255", "append filter -A INPUT -p 255"},
		{"-A INPUT ! -p udp", "append filter -A INPUT ! -p udp"},
		{"-A INPUT -p udp --dport 53 -m udp --sport 54", "append filter -A INPUT -p udp -m udp --dport 53 -m udp --sport 54"},
		{"-A INPUT -m mark --mark 1 -m mark --mark 2", "append filter -A INPUT -m mark --mark 0x1 -m mark --mark 0x2"},
		{"-A INPUT -p tcp --tcp-flags SYN,ACK SYN", "append filter -A INPUT -p tcp -m tcp --tcp-flags SYN,ACK SYN"},
		{"-m limit -A INPUT --limit 5/m -j DROP", "append filter -A INPUT -m limit --limit 5/min -j DROP"},
		{"-A INPUT -m limit -j ACCEPT --limit 5/m", "append filter -A INPUT -m limit --limit 5/min -j ACCEPT"},
		{"-A INPUT -mtcp -p tcp", "append filter -A INPUT -p tcp -m tcp"},
		{"-A INPUT -m comment --comment -x", "append filter -A INPUT -m comment --comment -x"},
		{"-A INPUT -c 1 2", "append filter -A INPUT -c 1 2"},
		{"-A INPUT -c1,2", "append filter -A INPUT -c 1 2"},
		{"-A INPUT --set-c 1 2", "append filter -A INPUT -c 1 2"},
		{"-R INPUT 1 -c 5 6", "replace filter 1 -A INPUT -c 5 6"},
		{"-A INPUT -j tcp", "append filter -A INPUT -j tcp"},
		{"-A INPUT -g foo", "append filter -A INPUT -g foo"},
		{"-A INPUT -g ACCEPT", "append filter -A INPUT -g ACCEPT"},
		{"-A INPUT -i +", "append filter -A INPUT"},
		{"-A INPUT ! -i +", "append filter -A INPUT ! -i +"},
		{"-A INPUT -i abcdefghijklmn+", "append filter -A INPUT -i abcdefghijklmn+"},
		{"-A INPUT -i !eth0", "append filter -A INPUT -i !eth0"},
		{"-A FORWARD ! -i eth0 ! -o eth1 ! -p tcp ! -s 1.1.1.1 ! -d 2.2.2.2 ! -f",
			"append filter -A FORWARD ! -s 1.1.1.1/32 ! -d 2.2.2.2/32 ! -i eth0 ! -o eth1 ! -p tcp ! -f"},
		{"-A u -o eth0 -i eth1", "append filter -A u -i eth1 -o eth0"},
		{"-t nat -A INPUT -t filter -j DROP", "append filter -A INPUT -j DROP"},
		{"--tab nat -F", "flush nat"},
		{"-A INPUT ! -w -s 1.2.3.4", "append filter -A INPUT -s 1.2.3.4/32"},
		{"-A INPUT -v -v -v", "append filter -A INPUT"},
		{"-I INPUT -j ACCEPT", "insert filter -A INPUT -j ACCEPT"},
		{"-IINPUT 1", "insert filter 1 -A INPUT"},
		{"-I INPUT 0x1 -j ACCEPT", "insert filter 1 -A INPUT -j ACCEPT"},
		{"--rep c7 1", "replace filter 1 -A c7"},
		{"-D INPUT 1", "delete-num filter INPUT 1"},
		{"--delete c7 1", "delete-num filter c7 1"},
		{"-D INPUT -j DROP", "delete filter -A INPUT -j DROP"},
		{"-D 1 1", "delete-num filter 1 1"},
		{"-C INPUT -v", "check filter -A INPUT"},
		{"-F", "flush filter"},
		{"--flush=c1", "flush filter c1"},
		{"-Z INPUT 1 -v", "zero filter INPUT 1"},
		{"-Z", "zero filter"},
		{"-X", "delete-chain filter"},
		{"--delete-c c7", "delete-chain filter c7"},
		{"-N n1 -v", "new filter n1"},
		{"--ne c6", "new filter c6"},
		{"-N tcp", "new filter tcp"},
		{"-N a!b", "new filter a!b"},
		{"-N abcdefghijklmnopqrstuvwxyz12", "new filter abcdefghijklmnopqrstuvwxyz12"},
		{"-E x ACCEPT", "rename filter x ACCEPT"},
		{"--rename c6 c7", "rename filter c6 c7"},
		{"-P INPUT ACCEPT -v", "policy filter INPUT ACCEPT"},
		{"-P INPUT DROP -c 1 2", "policy filter INPUT DROP"},
		{"-t mangle -P POSTROUTING DROP", "policy mangle POSTROUTING DROP"},
		{"-w 5 -W 100000 -A INPUT", "append filter -A INPUT"},
		{"-w10 -A INPUT", "append filter -A INPUT"},
		{"-w 3x -A INPUT", "append filter -A INPUT"},
		{"--wait=10 -A INPUT", "append filter -A INPUT"},
		{"-M foo -A INPUT", "append filter -A INPUT"},
		{"-4 -A INPUT", "append filter -A INPUT"},
		// Debian's 1.8.9 takes the whole word for the value here and refuses it;
		// the manual, and every other version, read these as everyone writes them.
		{"-AINPUT -jDROP", "append filter -A INPUT -j DROP"},
		{"-A INPUT --dst=1.2.3.4", "append filter -A INPUT -d 1.2.3.4/32"},
		{"-A INPUT -s1.2.3.4 -ptcp -ieth0", "append filter -A INPUT -s 1.2.3.4/32 -i eth0 -p tcp"},
	} {
		t.Run(c.line, func(t *testing.T) {
			names := someNames()
			cmd, err := ParseCommand(rule.IPv4, "iptables", words(c.line), names)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(rule.IPv4, cmd.Ops, names); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestAddresses reads what -s can be.
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		family     rule.Family
		text, want string // want "" when it must be refused
	}{
		{rule.IPv4, "10.1/16", "10.1.0.0/16"},
		{rule.IPv4, "10.1", "10.1.0.0/32"},
		{rule.IPv4, "10", "10.0.0.0/32"},
		{rule.IPv4, "10/8", "10.0.0.0/8"},
		{rule.IPv4, "0x7f.1", "127.1.0.0/32"},
		{rule.IPv4, "1.2.3.0x10", "1.2.3.16/32"},
		{rule.IPv4, "1.2.3.010", "1.2.3.8/32"},
		{rule.IPv4, "010.2.3.1", "8.2.3.1/32"},
		{rule.IPv4, "256", "0.0.1.0/32"},
		{rule.IPv4, "1.256", "1.0.1.0/32"},
		{rule.IPv4, "70000", "0.1.17.112/32"},
		{rule.IPv4, "1.2.65535", "1.2.255.255/32"},
		{rule.IPv4, " 1.2.3.4", "1.2.3.4/32"},
		{rule.IPv4, "1.2.3.4/0x8", "1.0.0.0/8"},
		{rule.IPv4, "1.2.3.4/010", "1.0.0.0/8"},
		{rule.IPv4, "1.2.3.4/ 8", "1.0.0.0/8"},
		{rule.IPv4, "1.2.3.4/+8", "1.0.0.0/8"},
		{rule.IPv4, "1.2.3.4/255.255.0.255", "1.2.0.4/255.255.0.255"},
		{rule.IPv4, "1.2.3.4/255.255.255.255", "1.2.3.4/32"},
		{rule.IPv4, "1.2.3.4/0xff.0.0.0", "1.0.0.0/8"},
		{rule.IPv4, "0", "0.0.0.0/32"},
		{rule.IPv4, "twohosts", "192.0.2.1/32,192.0.2.2/32"},
		{rule.IPv4, "loopback/8", "127.0.0.0/8"},
		{rule.IPv4, "onehost/24", "192.0.2.0/24"},
		{rule.IPv4, "1,2/8", "1.0.0.0/32,2.0.0.0/8"},
		{rule.IPv4, "1.2.3.4, 5.6.7.8", "1.2.3.4/32,5.6.7.8/32"},
		{rule.IPv4, "1.1.1.1,twohosts", "1.1.1.1/32,192.0.2.1/32,192.0.2.2/32"},
		{rule.IPv4, "10.", ""}, {rule.IPv4, "10.1.", ""}, {rule.IPv4, "08.2.3.1", ""},
		{rule.IPv4, "1.2.3.256", ""}, {rule.IPv4, "1.2.3.4.5", ""}, {rule.IPv4, "1..3.4", ""},
		{rule.IPv4, "1.2.3.4 ", ""}, {rule.IPv4, "1.2.3.4,", ""}, {rule.IPv4, ",1.2.3.4", ""},
		{rule.IPv4, ",", ""}, {rule.IPv4, "", ""}, {rule.IPv4, "1.2.3.4/", ""}, {rule.IPv4, "/8", ""},
		{rule.IPv4, "1.2.3.4/33", ""}, {rule.IPv4, "1.2.3.4/-1", ""}, {rule.IPv4, "1.2.3.4/255.255", ""},
		{rule.IPv4, "1.2.3.4/0xff000000", ""}, {rule.IPv4, "1.2.3.4/8/8", ""}, {rule.IPv4, "1.2.3.4/x", ""},
		{rule.IPv4, "onehost/33", ""}, {rule.IPv4, "::1", ""}, {rule.IPv4, "-1", ""},
		{rule.IPv6, "2001:db8::1/64", "2001:db8::/64"},
		{rule.IPv6, "2001:db8::1/ffff::ffff", "2001::1/ffff::ffff"},
		{rule.IPv6, "::ffff:1.2.3.4", "::ffff:1.2.3.4/128"},
		{rule.IPv6, "2001:DB8::1,2001:db8::2", "2001:db8::1/128,2001:db8::2/128"},
		{rule.IPv6, "fe80::1%lo", "fe80::1/128"},
		{rule.IPv6, "onehost", "2001:db8::1/128"},
		{rule.IPv6, "1.2.3.4", ""}, {rule.IPv6, "2001:db8::1/129", ""}, {rule.IPv6, "[::1]", ""},
		{rule.IPv6, "::1/255.0.0.0", ""},
	} {
		t.Run(c.family.String()+" "+c.text, func(t *testing.T) {
			names := someNames()
			cmd, err := ParseCommand(c.family, c.family.Program(), []string{"-A", "INPUT", "-s", c.text}, names)
			if err != nil {
				if c.want != "" {
					t.Fatal(err)
				}
				return
			}
			var got []string
			for _, op := range cmd.Ops {
				p := &ext.Printer{Family: c.family, Names: names}
				AppendRule(p, "", op.Rule, NoCounters)
				got = append(got, strings.TrimPrefix(strings.TrimSpace(string(p.B)), "-A  -s "))
			}
			if s := strings.ReplaceAll(strings.Join(got, ","), `-A "" -s `, ""); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// TestAnyAddress reads /0, which is no condition unless it is inverted.
func TestAnyAddress(t *testing.T) {
	for _, text := range []string{"0/0", "any/0", "foo.bar/0.0.0.0", "1.2.3.4/0"} {
		cmd, err := ParseCommand(rule.IPv4, "iptables", []string{"-A", "INPUT", "-s", text}, someNames())
		if err != nil {
			t.Fatal(err)
		}
		if !cmd.Ops[0].Rule.Src.IsAny() {
			t.Errorf("-s %s: got %v, want any", text, cmd.Ops[0].Rule.Src)
		}
	}
	cmd, err := ParseCommand(rule.IPv6, "ip6tables", words("-A INPUT ! -s ::/0"), someNames())
	if err != nil {
		t.Fatal(err)
	}
	if a := cmd.Ops[0].Rule.Src; a.IsAny() || !a.Not || a.PrefixLen() != 0 {
		t.Errorf("! -s ::/0: got %v", a)
	}
}

// TestProduct reads address lists on both sides: the source changes slowest.
func TestProduct(t *testing.T) {
	names := someNames()
	cmd, err := ParseCommand(rule.IPv4, "iptables", words("-I INPUT 2 -s 1.1.1.1,2.2.2.2 -d 3.3.3.3,4.4.4.4 -j DROP"), names)
	if err != nil {
		t.Fatal(err)
	}
	want := `insert filter 2 -A INPUT -s 1.1.1.1/32 -d 3.3.3.3/32 -j DROP
insert filter 2 -A INPUT -s 1.1.1.1/32 -d 4.4.4.4/32 -j DROP
insert filter 2 -A INPUT -s 2.2.2.2/32 -d 3.3.3.3/32 -j DROP
insert filter 2 -A INPUT -s 2.2.2.2/32 -d 4.4.4.4/32 -j DROP`
	if got := show(rule.IPv4, cmd.Ops, names); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestListing reads the commands that show something.
func TestListing(t *testing.T) {
	for _, c := range []struct {
		line string
		want ListRequest
		zero bool
	}{
		{"-L", ListRequest{}, false},
		{"-vnL c1", ListRequest{Chain: "c1"}, false},
		{"-vnLc1", ListRequest{Chain: "c1"}, false},
		{"--list=c1 -xnv", ListRequest{Chain: "c1"}, false},
		{"-L c1 3 --line-n", ListRequest{Chain: "c1", Num: 3}, false},
		{"-w 10 -nxvL", ListRequest{}, false},
		{"-S INPUT 2 -v", ListRequest{Chain: "INPUT", Num: 2, Rules: true}, false},
		{"--list-rules", ListRequest{Rules: true}, false},
		{"-L -Z", ListRequest{}, true},
		{"-Z -L -n", ListRequest{}, true},
		{"-L -Z INPUT 1", ListRequest{Chain: "INPUT", Num: 1}, true},
		{"-Z INPUT -L OUTPUT", ListRequest{Chain: "OUTPUT"}, true},
		{"-S -Z INPUT", ListRequest{Chain: "INPUT", Rules: true}, true},
		{"-L -m tcp --dport 22", ListRequest{}, false},
	} {
		t.Run(c.line, func(t *testing.T) {
			cmd, err := ParseCommand(rule.IPv4, "iptables", words(c.line), someNames())
			if err != nil {
				t.Fatal(err)
			}
			if cmd.List == nil || *cmd.List != c.want {
				t.Errorf("got %+v, want %+v", cmd.List, c.want)
			}
			if (len(cmd.Ops) == 1) != c.zero {
				t.Errorf("got operations %v", cmd.Ops)
			}
		})
	}
	cmd, err := ParseCommand(rule.IPv4, "iptables", words("-vvnxL --line-numbers"), someNames())
	if err != nil || cmd.Verbose != 2 || !cmd.Numeric || !cmd.Exact || !cmd.LineNumbers {
		t.Errorf("got %+v, %v", cmd, err)
	}
}

// TestHelpAndVersion end the program wherever they stand.
func TestHelpAndVersion(t *testing.T) {
	for _, line := range []string{"-V", "-V -L", "-L -V", "--version x", "-w --version", "-t foo -V", "-foo -V", "-Vfoo"} {
		cmd, err := ParseCommand(rule.IPv4, "iptables", words(line), someNames())
		if err != nil || !cmd.Version {
			t.Errorf("%s: got %+v, %v", line, cmd, err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"-h", ""}, {"-h tcp", ""}, {"-m limit -h", "limit"}, {"-p tcp -h", "tcp"}, {"-p tcp -m tcp --help", "tcp"},
		{"-m limit -m mark -p udp -h", "limit mark udp"}, {"-h -p tcp", ""}, {"-j nosuch -h", ""},
	} {
		cmd, err := ParseCommand(rule.IPv4, "iptables", words(c.line), someNames())
		if err != nil || cmd.Help == nil {
			t.Errorf("%s: got %+v, %v", c.line, cmd, err)
			continue
		}
		var got []string
		for _, d := range cmd.Help.Named {
			got = append(got, d.Name)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got help on %q, want %q", c.line, s, c.want)
		}
	}
}

// TestBad reads commands that Debian's iptables-nft refuses, each with the
// exit code that it gave and what both texts hold.
func TestBad(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		text string
	}{
		{"", 2, "iptables v1.8.9 (nf_tables): no command specified\nTry `iptables -h' or 'iptables --help' for more information."},
		{"foo", 2, "Bad argument `foo'\nTry `iptables -h'"},
		{"foo -V", 2, "Bad argument `foo'"},
		{"-A INPUT -n", 2, "Illegal option `-n' with this command"},
		{"-A INPUT -x", 2, "Illegal option `-x'"},
		{"-A INPUT --line-numbers", 2, "Illegal option `-0'"},
		{"-S -n", 2, "Illegal option `-n'"}, {"-S -x", 2, "Illegal option `-x'"}, {"-F -n", 2, "Illegal option `-n'"},
		{"-nZL", 2, "Illegal option `-n'"},
		{"-P INPUT ACCEPT -p tcp", 2, "Illegal option `-p'"}, {"-L -s 1.2.3.4", 2, "Illegal option `-s'"},
		{"-L -g foo", 2, "Illegal option `-j'"}, {"-D INPUT 1 -j DROP", 2, "Illegal option `-j'"},
		{"-D INPUT -c 1 2 -j DROP", 2, "Illegal option `-c'"}, {"-N c9 -c 1 2", 2, "Illegal option `-c'"},
		{"-F -f", 2, "Illegal option `-f'"}, {"-L -o eth0", 2, "Illegal option `-o'"},
		{"-L -A INPUT", 2, "Cannot use -A with -L"}, {"-L -L", 2, "Cannot use -L with -L"},
		{"-F -Z", 2, "Cannot use -Z with -F"}, {"-A INPUT -A OUTPUT", 2, "Cannot use -A with -A"},
		{"-S -L", 2, "Cannot use -L with -S"}, {"-Z -Z", 2, "Cannot use -Z with -Z"},
		{"-D INPUT 0", 2, "Invalid rule number `0'"}, {"-D INPUT x", 2, "Invalid rule number `x'"},
		{"-I INPUT 1x", 2, "Invalid rule number `1x'"}, {"-I INPUT 2147483648", 2, "Invalid rule number"},
		{"-L c1 0", 2, "Invalid rule number `0'"}, {"-Z INPUT x", 2, "Invalid rule number `x'"},
		{"-D INPUT -1", 2, "unknown option \"-1\""},
		{"-R INPUT -j ACCEPT", 2, "-R requires a rule number"},
		{"-A", 2, "option \"-A\" requires an argument"}, {"-t", 2, "option \"-t\" requires an argument"},
		{"-A INPUT -s", 2, "option \"-s\" requires an argument"}, {"-A INPUT --source", 2, "option \"--source\" requires an argument"},
		{"-A INPUT -s -j DROP", 2, "Bad argument `DROP' (`-s' took `-j' for its value; was that left out?)"},
		{"-A INPUT -p tcp --dport", 2, "option \"--dport\" requires an argument"},
		{"-A INPUT 1", 2, "Bad argument `1'"}, {"-A INPUT _", 2, "Bad argument `'"}, {"-A INPUT -", 2, "Bad argument `-'"},
		{"-L -n c1", 2, "Bad argument `c1'"}, {"-L c1 1 2", 2, "Bad argument `2'"}, {"-N a b", 2, "Bad argument `b'"},
		{"-F !x", 2, "Bad argument `!x'"}, {"-w 1 2 -L c1", 2, "Bad argument `2'"},
		{"-E a", 2, "-E requires old-chain-name and new-chain-name"}, {"-E x !y", 2, "-E requires"},
		{"-P INPUT", 2, "-P requires a chain and a policy"},
		{"-P INPUT FOO", 1, "iptables: Bad policy name. Run `dmesg' for more information."},
		{"-P INPUT QUEUE", 1, "Bad policy name."}, {"-P INPUT accept", 1, "Bad policy name."},
		{"-P foo ACCEPT", 1, "iptables: Bad built-in chain name."}, {"-t nat -P FORWARD DROP", 1, "Bad built-in chain name."},
		{"-P foo BAD", 1, "Bad policy name."}, {"-P INPUT BAD -t foo", 3, "table 'foo' does not exist"},
		{"-t foo -L", 3, "table 'foo' does not exist\nPerhaps iptables or your kernel needs to be upgraded."},
		{"-t _ -L", 3, "table '' does not exist"}, {"-t=nat -L", 3, "table '=nat' does not exist"},
		{"-t foo -A INPUT -j nosuch", 3, "table 'foo' does not exist"},
		{"! -t nat -L", 2, "unexpected ! flag before --table"}, {"! -L", 2, "unexpected '!' flag"},
		{"-A INPUT !", 2, "nothing appropriate following !"}, {"-A INPUT ! -j DROP", 2, "cannot have ! before -j"},
		{"-A INPUT ! ! -s 1.2.3.4", 2, "multiple consecutive ! not allowed"}, {"-A INPUT ! foo", 2, "Bad argument `foo'"},
		{"-A INPUT -s ! 1.2.3.4", 2, "Bad argument `1.2.3.4'"}, {"-A INPUT -p ! tcp", 2, "unknown protocol \"!\""},
		{"-A INPUT ! -v", 2, "cannot have ! before -v"}, {"-L ! -n", 2, "cannot have ! before -n"},
		{"-A INPUT ! -c 1 2", 2, "cannot have ! before -c"}, {"-A INPUT ! -m tcp", 2, "unexpected ! flag before --match"},
		{"-N !foo", 2, "chain name not allowed to start with `!'"}, {"-N -foo", 2, "chain name not allowed to start with `-'"},
		{"-N a\vb", 2, "Bad argument `b'"},
		{"-N _", 2, "chain name may not clash with target name"}, {"-N ACCEPT", 2, "may not clash"}, {"-N QUEUE", 2, "may not clash"},
		{"-N abcdefghijklmnopqrstuvwxyz123", 2, "too long (must be under 29 chars)"},
		{"-L abcdefghijklmnopqrstuvwxyz1234567", 2, "too long"}, {"-A abcdefghijklmnopqrstuvwxyz1234567", 2, "too long"},
		{"-A INPUT -j abcdefghijklmnopqrstuvwxyz1234567", 2, "Invalid target name `abcdefghijklmnopqrstuvwxyz1234567' (28 chars max)"},
		{"-A INPUT -j _", 2, "Invalid target name (too short)"}, {"-A INPUT -g _", 2, "Invalid target name (too short)"},
		{"-A INPUT -j x -g x", 2, "multiple -j flags not allowed"}, {"-A INPUT -j ACCEPT -j x", 2, "multiple -j flags not allowed"},
		{"-A INPUT -s 1.2.3.4 --src 2.3.4.5", 2, "multiple -s flags not allowed"}, {"-A INPUT -f -f", 2, "multiple -f flags not allowed"},
		{"-A INPUT -c 1 2 -c 3 4", 2, "multiple -c flags not allowed"}, {"-A INPUT -p tcp -p udp", 2, "multiple -p flags not allowed"},
		{"-A INPUT --foo", 2, "unknown option \"--foo\""}, {"-A INPUT -z", 2, "unknown option \"-z\""},
		{"-A INPUT --dport 22", 2, "unknown option \"--dport\""}, {"-A INPUT --dport 5 -p tcp", 2, "unknown option \"--dport\""},
		{"-A INPUT --s 1.2.3.4", 2, "unknown option \"--s\""}, {"-A INPUT -p tcp -m tcp --sou 1", 2, "unknown option \"--sou\""},
		{"-A INPUT --d 1.2.3.4", 2, "unknown option \"--d\""}, {"-A INPUT --in eth0", 2, "unknown option \"--in\""},
		{"--li", 2, "unknown option \"--li\""}, {"--del c1", 2, "unknown option \"--del\""}, {"--re a b", 2, "unknown option \"--re\""},
		{"-A INPUT --fragment=1", 2, "unknown option \"--fragment=1\""}, {"-A INPUT -j ACCEPT --foo", 2, "unknown option \"--foo\""},
		{"-A INPUT -p udp --syn", 2, "unknown option \"--syn\""},
		{"-AINPUT -- -j DROP", 2, "unknown arguments found on commandline"}, {"-- -L", 2, "unknown arguments"},
		{"-wnxvL", 2, "wait seconds not numeric"}, {"-w foo -L", 2, "wait seconds not numeric"}, {"-w _ -L", 2, "wait seconds not numeric"},
		{"-W 1 -L", 2, "--wait-interval only makes sense with --wait"}, {"-w -W -L", 2, "wait interval value required"},
		{"-w -W 1000000 -L", 2, "too long usec wait 1000000 > 999999 usec"}, {"-W x -w -L", 2, "wait interval not numeric"},
		{"-6 -L", 2, "Try `iptables -h'"},
		{"-A INPUT -c 1", 2, "-c requires packet and byte counter"}, {"-A INPUT -c 1:2", 2, "-c requires packet"},
		{"-A INPUT -c x y", 2, "-c packet counter not numeric"}, {"-A INPUT -c 1,x", 2, "-c byte counter not numeric"},
		{"-A INPUT -c ,1", 2, "-c requires packet"}, {"-A INPUT -c 1 y", 2, "-c byte counter not numeric"},
		{"-A INPUT ! -p all", 2, "rule would never match protocol"}, {"-A INPUT -p 256", 2, "unknown protocol \"256\""},
		{"-A INPUT -p nosuch", 2, "unknown protocol \"nosuch\""}, {"-A INPUT -p _", 2, "unknown protocol \"\""},
		{"-A INPUT -i abcdefghijklmnop", 2, "interface name `abcdefghijklmnop' must be shorter than IFNAMSIZ (15)"},
		{"-A INPUT -i _", 2, "Empty interface"}, {"-A INPUT -o eth0", 2, "Can't use -o with INPUT"},
		{"-t nat -A POSTROUTING -i eth0", 2, "Can't use -i with POSTROUTING"},
		{"-A INPUT ! -s 1.2.3.4,2.3.4.5", 2, "! not allowed with multiple source or destination IP addresses"},
		{"-A INPUT ! -s twohosts", 2, "! not allowed with multiple"},
		{"-R INPUT 1 -s 1.2.3.4,2.3.4.5", 2, "Replacement rule does not specify a unique address"},
		{"-A INPUT -s 1.2.3.256", 2, "host/network `1.2.3.256' not found"}, {"-A INPUT -s 1.2.3.4/33", 2, "invalid mask `33' specified"},
		{"-t foo -A INPUT -s 1..2", 2, "host/network `1..2' not found"},
		{"-A INPUT -m foo", 2, "Couldn't load match `foo':No such file or directory"},
		{"-A INPUT -m TCP", 2, "Couldn't load match `TCP'"}, {"-A INPUT -m _", 2, "Couldn't load match `'"},
		{"-A INPUT -p udp -m tcp --dport 22", 2, "'-p tcp'"},
		{"-A INPUT -m mark --mark 1 --mark 2", 2, "mark: option \"--mark\" can only be used once."},
		{"-A INPUT -m mark -m mark --mark 2", 2, "mark: option \"--mark\" must be specified"},
		{"-A INPUT -m comment ! --comment x", 2, "comment: option \"--comment\" cannot be inverted."},
		{"-A INPUT -p tcp --tcp-flags SYN", 2, "--tcp-flags requires two args."},
		{"-A INPUT -p tcp --tcp-flags SYN ! SYN", 2, "--tcp-flags requires two args."},
		{"-L -m tcp --dport x", 2, "x"},
		{"-A _ -j DROP", 1, "iptables: No chain/target/match by that name."}, {"-F _", 1, "No chain/target/match by that name."},
		{"-L _", 1, "chain `' in table `filter' is incompatible, use 'nft' tool."}, {"-P _ ACCEPT", 1, "Bad built-in chain name."},
	} {
		t.Run(c.line, func(t *testing.T) {
			_, err := ParseCommand(rule.IPv4, "iptables", words(c.line), someNames())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Code != c.code || ExitCode(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got code %d and\n%s\nwant code %d and\n%s", e.Code, err, c.code, c.text)
			}
		})
	}
}

// TestWarnings reads what is odd but accepted.
func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		family rule.Family
		args   []string
		want   string
	}{
		{rule.IPv4, words("-w 5 -W 10 -L"), "Ignoring deprecated --wait-interval option."},
		{rule.IPv4, words("-A INPUT -i a/b"), "Warning: weird character in interface `a/b' ('/' and ' ' are not allowed by the kernel)."},
		{rule.IPv6, words("-A INPUT -p ah"), "Warning: never matched protocol: ah. use extension match instead."},
		{rule.IPv6, words("-A INPUT ! -p ah"), ""},
		{rule.IPv6, words("-A INPUT -p esp"), ""},
	} {
		cmd, err := ParseCommand(c.family, c.family.Program(), c.args, someNames())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(cmd.Warnings, "\n"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

// TestShortLetters compares the letters with the table they stand for.
func TestShortLetters(t *testing.T) {
	var letters []byte
	for i := range baseOptions {
		letters = append(letters, baseOptions[i].letter)
	}
	if string(letters) != shortLetters {
		t.Errorf("shortLetters is %q, want %q", shortLetters, letters)
	}
}
