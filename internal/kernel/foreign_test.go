package kernel

import (
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/lab"
	"moat/internal/rule"
)

// nftList is what nft shows of a table.
func nftList(t *testing.T, h *lab.Host, table string) string {
	t.Helper()
	out, err := h.Command("nft", append([]string{"list", "table"}, strings.Fields(table)...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// addUnreadable adds a rule with a payload that the kernel takes and that means
// nothing: the ttl match with a mode that there is not.
func addUnreadable(t *testing.T, k *Kernel) {
	t.Helper()
	b := &nft.Batch{}
	b.AddTable(0, &nft.Table{Family: 2, Name: "filter"})
	b.AddChain(0, &nft.Chain{Family: 2, Table: "filter", Name: "kept"})
	b.BeginRule(nft.RuleAppend, &nft.RuleHeader{Family: 2, Table: "filter", Chain: "kept", Compat: &nft.RuleCompat{}})
	x := b.BeginMatch("ttl", 0)
	nft.NewInfo(&b.Buffer).Bytes([]byte{77, 1, 0, 0, 0, 0, 0, 0}) // struct ipt_ttl_info: mode, ttl
	b.EndXT(x)
	b.ExprCounter(5, 500)
	b.ExprVerdict(nft.NF_DROP, "")
	b.EndRule()
	if err := k.conn.Commit(b); err != nil {
		t.Fatal(err)
	}
}

// expressions are the raw bytes of the rules of a chain.
func expressions(t *testing.T, k *Kernel, chain string) (list []string) {
	t.Helper()
	err := k.conn.DumpRules(2, "filter", chain, func(v *nft.RuleView) error {
		list = append(list, string(v.Expressions)+"|"+string(v.Userdata))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// withoutCounter is a list of expressions with its counter at zero.
func withoutCounter(list string) string {
	out, _, _ := zeroCounter([]byte(list))
	return string(out)
}

// TestUnreadableBytesAreKept changes the neighbours of a rule with a payload
// that Moat cannot read; the rule's bytes stay.
func TestUnreadableBytesAreKept(t *testing.T) {
	t.Parallel()
	k, _ := newKernel(t)
	addUnreadable(t, k)
	want := expressions(t, k, "kept")[0]
	apply(t, k, rule.IPv4, "*filter\n[1:1] -I kept -j ACCEPT\n[1:1] -A kept -j DROP\nCOMMIT\n")
	got := read(t, k, rule.IPv4, "filter").Table("filter").Chain("kept").Rules
	if len(got) != 3 || got[1].Foreign {
		t.Fatalf("%d rules, the second is foreign: %v", len(got), got[1].Foreign)
	}
	if _, ok := got[1].Matches[0].(*ext.Unknown); !ok {
		t.Errorf("the payload is read as %T", got[1].Matches[0])
	}
	for _, lines := range []string{"-I kept 2 -j ACCEPT", "-R kept 1 -j DROP", "-D kept 1", "-D kept 3", "-E kept renamed", "-E renamed kept"} {
		apply(t, k, rule.IPv4, "*filter\n"+lines+"\nCOMMIT\n")
	}
	if list := expressions(t, k, "kept"); len(list) != 2 || list[1] != want {
		t.Errorf("%d rules; the rule in the middle has changed:\n%q\nwant\n%q", len(list), list, want)
	}
	apply(t, k, rule.IPv4, "*filter\n-Z kept\nCOMMIT\n")
	if list := expressions(t, k, "kept"); list[1] == want || list[1] != withoutCounter(want) {
		t.Errorf("-Z changed more than the counter:\n%q\nwant\n%q", list[1], withoutCounter(want))
	}
	apply(t, k, rule.IPv4, "*filter\n-D kept 2\nCOMMIT\n")
	if list := expressions(t, k, "kept"); len(list) != 1 {
		t.Errorf("%d rules after -D kept 2, want 1", len(list))
	}
}

const foreignTables = `
table ip own { set s { type ipv4_addr; elements = { 10.0.0.1 } }
  chain c { type filter hook input priority 5; policy accept; ip saddr @s counter packets 4 bytes 40 drop; }
}
table ip filter {
  set blocked { type ipv4_addr; elements = { 10.1.0.1 } }
  map ports { type inet_service : verdict; elements = { 22 : accept } }
  chain INPUT { type filter hook input priority 0; policy accept;
    ip saddr @blocked counter packets 7 bytes 70 drop
    tcp dport vmap @ports
    tcp dport { 80, 443 } counter packets 8 bytes 80 accept comment "web"
    tcp dport 8080 counter packets 9 bytes 90 jump { tcp flags syn accept; }
    ct state new counter packets 3 bytes 30 accept comment "fresh"
    iifname "a" iifname != "b" accept
    meta l4proto 0 counter accept
    ip saddr 10.0.0.1 ip saddr 10.0.0.2 accept
  }
  chain other { type filter hook input priority 10; policy accept; counter packets 2 bytes 20 accept; }
  chain plain { counter packets 1 bytes 10 accept comment "mine"; }
}
`

func foreignHost(t *testing.T) (*Kernel, *lab.Host) {
	t.Helper()
	k, h := newKernel(t)
	if out, err := h.Command("nft", foreignTables).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return k, h
}

// TestForeignRules reads rules that iptables cannot express as such. (The fourth
// is a jump, and the kernel shows the chain that it owns as any other.)
func TestForeignRules(t *testing.T) {
	t.Parallel()
	k, _ := foreignHost(t)
	table := read(t, k, rule.IPv4, "filter").Table("filter")
	for i, r := range table.Chain("INPUT").Rules {
		if !r.Foreign && i+1 != 4 {
			t.Errorf("rule %d is read as %+v: want foreign", i+1, r)
		}
	}
	if table.Chain("other") != nil {
		t.Error("a base chain of somebody else is shown")
	}
	if c := table.Chain("plain"); c == nil || len(c.Rules) != 1 || c.Rules[0].Foreign {
		t.Errorf("a chain that iptables can express is read as %+v", c)
	}
	for _, verb := range []string{"-D", "-C"} {
		for _, spec := range []string{"-j ACCEPT", "-s 10.0.0.2 -j ACCEPT", "-j DROP", "-p tcp -j ACCEPT", "-i a -j ACCEPT"} {
			err := k.Apply(restoreScript(t, rule.IPv4, "*filter\n"+verb+" INPUT "+spec+"\nCOMMIT\n", true))
			if err == nil || err.Error() != change.BadRule {
				t.Errorf("%s INPUT %s on foreign rules: %v", verb, spec, err)
			}
		}
	}
}

// TestForeignTablesAreUntouched runs what clears other tables.
func TestForeignTablesAreUntouched(t *testing.T) {
	t.Parallel()
	k, h := foreignHost(t)
	own, filter := nftList(t, h, "ip own"), nftList(t, h, "ip filter")
	apply(t, k, rule.IPv4, "*mangle\n-A INPUT -j DROP\n-F\n-X\nCOMMIT\n*nat\n-A PREROUTING -j ACCEPT\n-Z\n-F\nCOMMIT\n")
	if err := k.Apply(restoreScript(t, rule.IPv4, "*raw\n:PREROUTING DROP [0:0]\nCOMMIT\n", false)); err != nil {
		t.Fatal(err)
	}
	if got := nftList(t, h, "ip filter"); got != filter {
		t.Errorf("table filter has changed:\n%s\nwant\n%s", got, filter)
	}
	apply(t, k, rule.IPv4, "*filter\n-A plain -j DROP\n-I FORWARD -j DROP\n-D plain 2\n-F FORWARD\n-X FORWARD\nCOMMIT\n")
	if got := nftList(t, h, "ip filter"); got != filter {
		t.Errorf("table filter has changed after changes of other chains:\n%s\nwant\n%s", got, filter)
	}
	if err := k.Apply(restoreScript(t, rule.IPv4, "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", false)); err != nil {
		t.Fatal(err)
	}
	if got := nftList(t, h, "ip own"); got != own {
		t.Errorf("table own has changed:\n%s\nwant\n%s", got, own)
	}
}

// TestForeignBaseChainIsNotTakenOver makes chains whose names somebody else's
// base chains have.
func TestForeignBaseChainIsNotTakenOver(t *testing.T) {
	t.Parallel()
	k, h := foreignHost(t)
	filter := nftList(t, h, "ip filter")
	for _, line := range []string{"-N other", "-A other -j DROP", "-F other", "-X other", "-Z other", "-A INPUT -j other", "-E plain other", ":other - [0:0]"} {
		if err := k.Apply(restoreScript(t, rule.IPv4, "*filter\n"+line+"\nCOMMIT\n", true)); err == nil {
			t.Errorf("%s was done", line)
		}
	}
	if got := nftList(t, h, "ip filter"); got != filter {
		t.Errorf("table filter has changed:\n%s\nwant\n%s", got, filter)
	}
}

// TestZeroOfForeignRules resets counters of rules with sets, chains of their
// own, native conditions and comments, and leaves all else.
func TestZeroOfForeignRules(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"-Z", "-Z INPUT\n-Z plain", "-Z INPUT 1\n-Z INPUT 3\n-Z INPUT 4\n-Z INPUT 5\n-Z plain 1"} {
		k, h := foreignHost(t)
		want := nftList(t, h, "ip filter")
		for _, n := range []string{"7 bytes 70", "8 bytes 80", "9 bytes 90", "3 bytes 30", "1 bytes 10"} {
			if !strings.Contains(want, "packets "+n) {
				t.Fatalf("no counter %s to begin with:\n%s", n, want)
			}
			want = strings.Replace(want, "packets "+n, "packets 0 bytes 0", 1)
		}
		apply(t, k, rule.IPv4, "*filter\n"+script+"\nCOMMIT\n")
		if got := nftList(t, h, "ip filter"); got != want {
			t.Errorf("after %q:\n%s\nwant\n%s", script, got, want)
		}
	}
}
