package ext

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// nativeForms are rules of nft and what they are to iptables; "" is nothing
// that it has words for.
var nativeForms = []struct{ family, rule, save string }{
	{"ip", "meta l4proto icmp icmp type echo-request", "icmp --icmp-type 8"},
	{"ip", "meta l4proto icmp icmp type != echo-request", "icmp ! --icmp-type 8"},
	{"ip", "meta l4proto icmp icmp type 3 icmp code 4", "icmp --icmp-type 3/4"},
	{"ip", "meta l4proto icmp icmp code 4", ""},
	{"ip", "meta l4proto icmp icmp type 3 icmp code != 4", ""},
	{"ip", "meta l4proto icmp icmp type 255", ""},
	{"ip", "meta l4proto icmp icmp type > 3", ""},
	{"ip6", "meta l4proto ipv6-icmp icmpv6 type echo-request", "icmp6 --icmpv6-type 128"},
	{"ip6", "meta l4proto ipv6-icmp icmpv6 type 1 icmpv6 code 4", "icmp6 --icmpv6-type 1/4"},
	{"ip", "log group 3", "NFLOG --nflog-group 3"},
	{"ip", `log prefix "a b" group 3 snaplen 20 queue-threshold 5`, `NFLOG --nflog-prefix "a b" --nflog-group 3 --nflog-size 20 --nflog-threshold 5`},
	{"ip6", "log group 0", "NFLOG"},
	{"ip", "log", ""},
	{"ip", "log level debug", ""},
	{"ip", "log flags all", ""},
	{"ip", "meta mark set 5", "MARK --set-xmark 0x5/0xffffffff"},
	{"ip6", "meta mark set mark and 0xff", "MARK --set-xmark 0x0/0xffffff00"},
	{"ip", "meta mark set mark or 0x1", "MARK --set-xmark 0x1/0x1"},
	{"ip", "meta mark set mark xor 0x1", "MARK --set-xmark 0x1/0x0"},
	{"ip", "meta mark set mark and 0xffffff00 xor 0x5", "MARK --set-xmark 0x5/0xff"},
	{"ip", "meta mark set ct mark", ""},
	{"ip", "meta mark set 5 meta mark set 6", ""},
	{"ip", "meta mark 5", "mark --mark 0x5"},
	{"ip", "meta mark and 0xff != 5", "mark ! --mark 0x5/0xff"},
	{"ip", "limit rate 5/minute", "limit --limit 5/min"},
	{"ip", "limit rate over 5/minute", ""},
	{"ip", "limit rate 5 kbytes/second", ""},
	{"ip", "meta l4proto tcp tcp dport 22-25", "tcp --dport 22:25"},
	{"ip", "meta l4proto tcp tcp dport 22 tcp sport 5", "tcp --sport 5 --dport 22"},
	{"ip", "meta l4proto udp udp sport != 53", "udp ! --sport 53"},
	{"ip", "meta l4proto udp udp length 53", ""},
	{"ip", "meta pkttype multicast", "pkttype --pkt-type multicast"},
	{"ip6", "meta pkttype != unicast", "pkttype ! --pkt-type unicast"},
	{"ip", "meta pkttype 6", ""},
	{"ip", "ct state new", ""},
	{"ip", "reject", ""},
}

// TestNativeForms reads rules that nft wrote, each in a chain of its own.
func TestNativeForms(t *testing.T) {
	inNamespace(t, func() {
		var script strings.Builder
		for i, form := range nativeForms {
			fmt.Fprintf(&script, "table %s t { chain c%d { type filter hook input priority 0; %s; }; }\n", form.family, i, form.rule)
		}
		if out, err := exec.Command("/usr/sbin/nft", script.String()).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
			return
		}
		conn, err := nft.Open()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for i, form := range nativeForms {
			if got := readNative(t, conn, form.family == "ip6", fmt.Sprint("c", i)); got != form.save {
				t.Errorf("%s %s: read as %q, want %q", form.family, form.rule, got, form.save)
			}
		}
	})
}

// readNative reads the only rule of a chain as iptables would save it; "" if a
// term of it belongs to no extension.
func readNative(t *testing.T, conn *nft.Conn, v6 bool, chain string) string {
	family, r := familyOf(v6), &rule.Rule{}
	d, understood := &Decoder{Family: family, Rule: r}, true
	term := func(term *nft.Term) bool {
		if term.Load.IsMeta(nft.NFT_META_L4PROTO) && len(term.Value) == 1 {
			r.Proto.Number = uint16(term.Value[0])
			return true
		}
		understood = understood && d.Native(term)
		return true
	}
	rules := 0
	err := conn.DumpRules(uint8(family), "t", chain, func(v *nft.RuleView) error {
		rules++
		return nft.Terms(bytes.Clone(v.Expressions), term)
	})
	if err != nil || rules != 1 {
		t.Errorf("%d rules in chain %s: %v", rules, chain, err)
	}
	if !understood {
		return ""
	}
	var b strings.Builder
	for _, m := range r.Matches {
		b.WriteString(m.Name() + " " + printed(m.(Ext), family, r).save)
	}
	if x, ok := r.Target.(Ext); ok {
		b.WriteString(x.Name() + " " + printed(x, family, r).save)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// TestHelpNamesTypes holds the blocks that firewalld reads out of --help.
func TestHelpNamesTypes(t *testing.T) {
	for _, c := range []struct {
		program, proto string
		def            *Def
		family         rule.Family
	}{{"iptables", "icmp", &icmp, rule.IPv4}, {"ip6tables", "ipv6-icmp", &icmp6, rule.IPv6}} {
		out, _ := debian(t, c.program, "-p", c.proto, "--help")
		if want := c.def.HelpText(c.family); !strings.HasSuffix(out, "\n"+want) {
			t.Errorf("%s -p %s --help does not end with\n%s", c.program, c.proto, want)
		}
	}
}
