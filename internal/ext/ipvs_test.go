package ext

import (
	"encoding/hex"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// ipvsRows are what iptables 1.8.9 makes of options of match ipvs on any kernel:
// the bytes that it sends, and how it saves and lists a rule with them. (Taken
// with the bytes put in place of another match's between kernel and program,
// since kernels without IPVS refuse the rule.)
var ipvsRows = []struct {
	family        rule.Family
	options, save string
	info          string // hexadecimal, without zeros before and behind; the first byte is number at
	at            int
}{
	{rule.IPv4, "--ipvs", "", "01", 39},
	{rule.IPv4, "! --ipvs", "", "0101", 38},
	{rule.IPv4, "--vproto tcp", "--vproto 6", "0600000000 03", 34},
	{rule.IPv4, "! --vproto 17", "", "1100000002 03", 34},
	{rule.IPv4, "--vaddr 1.2.3.4", "", "01020304" + "000000000000000000000000" + "ffffffffffffffffffffffffffffffff" + "00000000000000 05", 0},
	{rule.IPv4, "! --vaddr 1.2.3.4/24", "", "01020304" + "000000000000000000000000" + "ffffff00000000000000000000000000" + "00000000000004 05", 0},
	{rule.IPv4, "--vaddr 1.2.3.4/255.0.255.0", "--vaddr 1.2.3.4", "01020304" + "000000000000000000000000" + "ffffffffffffffffffffffffffffffff" + "00000000000000 05", 0},
	{rule.IPv4, "--vaddr 1.2.3.4/0", "", "01020304" + "00000000000000000000000000000000000000000000000000000000" + "00000000000000 05", 0},
	{rule.IPv4, "--vport 80", "", "5000000000 00 09", 33},
	{rule.IPv4, "--ipvs --vport http", "--vport 80", "5000000000 00 09", 33},
	{rule.IPv4, "! --vport 65536", "! --vport 0", "0809", 38},
	{rule.IPv4, "--vdir ORIGINAL", "", "11", 39},
	{rule.IPv4, "--vdir reply", "--vdir REPLY", "1011", 38},
	{rule.IPv4, "--vmethod GATE", "", "0300000021", 35},
	{rule.IPv4, "--vmethod ipip", "--vmethod IPIP", "0200000021", 35},
	{rule.IPv4, "! --vmethod masq", "! --vmethod MASQ", "2021", 38},
	{rule.IPv4, "--vportctl 21", "", "150041", 37},
	{rule.IPv4, "! --vportctl 21", "", "154041", 37},
	{rule.IPv4, "--vdir REPLY --vproto 6", "--vproto 6 --vdir REPLY", "0600000010 13", 34},
	{rule.IPv6, "--vaddr 2001:db8::1/64", "", "20010db8000000000000000000000001" + "ffffffffffffffff0000000000000000" + "00000000000000 05", 0},
	{rule.IPv6, "! --vaddr 1::2/ffff:0:ffff::", "! --vaddr 1::2", "00010000000000000000000000000002" + "ffffffffffffffffffffffffffffffff" + "00000000000004 05", 0},
}

// TestIPVS parses, prints, writes and reads each row.
func TestIPVS(t *testing.T) {
	for _, r := range ipvsRows {
		x := parseIPVS(t, r.family, r.options)
		if x == nil {
			continue
		}
		save := r.save
		if save == "" {
			save = r.options
		}
		want := answer{save: save, list: strings.ReplaceAll(save, "--", ""), numeric: strings.ReplaceAll(save, "--", "")}
		if got := printed(x, r.family, &rule.Rule{}); got != want {
			t.Errorf("%s:\n%swant\n%s", r.options, got, want)
		}
		bytes, err := hex.DecodeString(strings.ReplaceAll(r.info, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		info := make([]byte, 40)
		copy(info[r.at:], bytes)
		var b nft.Buffer
		x.Info(nft.NewInfo(&b), 0, r.family)
		if got := hex.EncodeToString(b.Bytes()); got != hex.EncodeToString(info) {
			t.Errorf("%s: written as\n%s, want\n%x", r.options, got, info)
		}
		again := &IPVS{}
		if err := again.Read(nft.NewInfoReader(info), 0, r.family); err != nil || !Equal(x, again) {
			t.Errorf("%s: read as %+v (%v), want %+v", r.options, again, err, x)
		}
	}
}

func parseIPVS(t *testing.T, f rule.Family, options string) *IPVS {
	t.Helper()
	x, err := parseOptions(&ipvs, &Context{Family: f, Rule: &rule.Rule{}, Names: testNames()}, strings.Fields(options))
	if err != nil {
		t.Errorf("%s: %v", options, err)
		return nil
	}
	return x.(*IPVS)
}

// TestIPVSRefuses holds that bytes which iptables has no words for are no IPVS match.
func TestIPVSRefuses(t *testing.T) {
	for name, change := range map[string]func(info []byte){
		"no condition":         func(info []byte) { info[39] = 0 },
		"an unknown condition": func(info []byte) { info[39] = 0x81 },
		"inverted, not given":  func(info []byte) { info[38] = 2 },
		"an unknown method":    func(info []byte) { info[39], info[35] = 0x21, 7 },
	} {
		info := make([]byte, 40)
		info[39] = 1
		change(info)
		if (&IPVS{}).Read(nft.NewInfoReader(info), 0, rule.IPv4) == nil {
			t.Errorf("%s is read", name)
		}
	}
}
