package ext

import (
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// TestAliasFindsMatch: -m icmpv6 is icmp6, and neither is there for IPv4.
func TestAliasFindsMatch(t *testing.T) {
	if d := Find(Match, "icmpv6", rule.IPv6); d != &icmp6 {
		t.Errorf("icmpv6 is %v", d)
	}
	if d := Find(Match, "icmpv6", rule.IPv4); d != nil {
		t.Errorf("icmpv6 for IPv4 is %s", d.Name)
	}
}

// TestStateIsReadFromBothKernelNames: the kernel's conntrack with the alias
// flag, and its own old match "state".
func TestStateIsReadFromBothKernelNames(t *testing.T) {
	const untracked = xtStateUntracked
	alias := &Conntrack{Given: xtConntrackState | xtConntrackStateAlias, State: xtStateNew | untracked}
	for _, c := range []struct {
		kernel string
		rev    uint8
	}{{"state", 0}, {"conntrack", 1}, {"conntrack", 2}, {"conntrack", 3}} {
		if c.rev == 1 { // a byte has no place for UNTRACKED
			continue
		}
		var b nft.Buffer
		x := b.BeginMatch(c.kernel, c.rev)
		alias.Info(nft.NewInfo(&b), c.rev, rule.IPv4)
		b.EndXT(x)
		d := &Decoder{Family: rule.IPv4, Rule: &rule.Rule{}}
		if err := nft.Terms(b.Bytes(), func(term *nft.Term) bool { d.XT(term); return true }); err != nil {
			t.Fatal(err)
		}
		got, ok := d.Rule.Matches[0].(Ext)
		if !ok || got.Name() != "state" || printed(got, rule.IPv4, d.Rule).save != "--state NEW,UNTRACKED" {
			t.Errorf("%s revision %d is read as %s %+v", c.kernel, c.rev, d.Rule.Matches[0].Name(), got)
		}
	}
}

// TestReversedRangeIsTakenWithWarning holds what iptables does with -m iprange.
func TestReversedRangeIsTakenWithWarning(t *testing.T) {
	var warned []string
	c := &Context{Family: rule.IPv4, Rule: &rule.Rule{}, Names: testNames(), Warn: func(line string) { warned = append(warned, line) }}
	x, err := parseOptions(&iprange, c, []string{"--src-range", "10.0.0.2-10.0.0.1"})
	if err != nil || printed(x, rule.IPv4, c.Rule).save != "--src-range 10.0.0.2-10.0.0.1" {
		t.Errorf("read as %+v, %v", x, err)
	}
	if want := "xt_iprange: range 10.0.0.2-10.0.0.1 is reversed and will never match"; len(warned) != 1 || warned[0] != want {
		t.Errorf("warned %q", warned)
	}
}

// TestOldestRevisionIsWrittenWhereKernelIsOld: what 1.8.9 never writes is not chosen.
func TestOldestRevisionIsWrittenWhereKernelIsOld(t *testing.T) {
	for _, c := range []struct {
		x      Ext
		family rule.Family
		newest uint8
		want   uint8
	}{
		{&DNAT{}, rule.IPv4, 2, 2}, {&DNAT{}, rule.IPv4, 1, 0}, {&DNAT{}, rule.IPv6, 1, 1},
		{&SNAT{}, rule.IPv4, 2, 0}, {&SNAT{}, rule.IPv6, 2, 1},
		{&Conntrack{Given: xtConntrackProto}, rule.IPv4, 2, 2}, {&AddrType{}, rule.IPv4, 0, 0}, {&AddrType{}, rule.IPv6, 1, 1},
	} {
		var b nft.Buffer
		e := &Encoder{Buffer: &b, Family: c.family, Rule: &rule.Rule{}, Kernel: upTo(c.newest)}
		if err := e.Put(c.x); err != nil {
			t.Errorf("%s: %v", c.x.Name(), err)
			continue
		}
		if err := nft.Terms(b.Bytes(), func(term *nft.Term) bool {
			if term.Rev != c.want {
				t.Errorf("%s for %s on a kernel with revision %d: wrote %d, want %d", c.x.Name(), c.family, c.newest, term.Rev, c.want)
			}
			return true
		}); err != nil {
			t.Error(err)
		}
	}
}

// upTo is a kernel that has all revisions up to one.
type upTo uint8

func (k upTo) HasRevision(_ rule.Family, _ Kind, _ string, rev uint8) bool { return rev <= uint8(k) }

// TestEveryOptionHasARow names the options that no row of testdata/ext uses.
func TestEveryOptionHasARow(t *testing.T) {
	for _, file := range rowsFiles(t) {
		text := ""
		for _, s := range file.sections {
			for _, r := range s.rows {
				text += " " + r.options + " " + r.save + " "
			}
		}
		for _, s := range file.sections[:1] {
			for _, o := range file.def(s.family()).Options {
				if !strings.Contains(text, "--"+o.Name+" ") {
					t.Errorf("%s: no row has --%s", file.path, o.Name)
				}
				if o.Not && !strings.Contains(text, "! --"+o.Name+" ") && !aliasInverted(text, &o) {
					t.Errorf("%s: no row has ! --%s", file.path, o.Name)
				}
			}
		}
	}
}

func aliasInverted(text string, o *Option) bool {
	for _, alias := range o.Aliases {
		if strings.Contains(text, "! --"+alias+" ") {
			return true
		}
	}
	return false
}
