package ext

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// TestMatchesRefuseNonsense reads bytes that iptables has no words for: they
// stay an unknown match, which keeps them, and are not shown as something else.
func TestMatchesRefuseNonsense(t *testing.T) {
	ones := bytes.Repeat([]byte{0xff}, 2048)
	for _, d := range []*Def{
		&recent, &owner, &pktType, &physDev, &statistic, &stringMatch, &timeMatch, &u32Match, &quota, &rpFilter,
		&socketMatch, &policy, &rt, &sctp, &srh, &nfacct, &osf, &rateEstMatch, &setMatch,
	} {
		f := familyOf(!d.Families.Has(rule.IPv4))
		for _, rev := range d.Revisions {
			if rev.Size == 0 {
				continue
			}
			if x := d.New(f).(XT); x.Read(nft.NewInfoReader(ones), rev.Rev, f) == nil {
				t.Errorf("%s revision %d reads ones as %+v", d.Name, rev.Rev, x)
			}
		}
	}
}

// TestMatchesRefuseSmallErrors changes one byte of what a row means.
func TestMatchesRefuseSmallErrors(t *testing.T) {
	for _, c := range []struct {
		d    *Def
		opts string
		at   int // of the byte
		to   byte
	}{
		{&policy, "--dir in --pol ipsec --proto esp", 72, 6},    // a protocol that IPsec does not have
		{&policy, "--dir in --pol ipsec --proto esp", 75, 1},    // inverts what is not asked for
		{&policy, "--dir in --pol ipsec --proto esp", 306, 5},   // five elements
		{&policy, "--dir in --pol ipsec --proto esp", 304, 3},   // both directions
		{&u32Match, "--u32 0&1=1", 176, 12},                     // twelve steps
		{&u32Match, "--u32 0&1=1", 176, 0},                      // none
		{&u32Match, "--u32 0&1=1", 12, 4},                       // an operator that is not there
		{&u32Match, "--u32 0&1=1", 1980, 0},                     // no test
		{&setMatch, "--match-set s4 src", 2, 7},                 // seven dimensions
		{&setMatch, "--match-set s4 src", 2, 0},                 // none
		{&setMatch, "--match-set s4 src", 40, 1},                // a flag nobody knows
		{&setMatch, "--match-set s4 src --packets-eq 1", 16, 5}, // a comparison nobody knows
		{&setMatch, "--match-set s4 src --bytes-eq 1", 32, 5},   // the same
		{&sctp, "--chunk-types all DATA", 60, 1},                // a chunk beyond all types
		{&sctp, "--chunk-types all DATA", 264, 3},               // a mode nobody knows
		{&sctp, "--chunk-types all DATA", 264, 0},               // no mode
		{&sctp, "--sport 5", 288, 2},                            // inverts what is not asked for
		{&rt, "--rt-type 0", 276, 1},                            // an address without its condition
		{&osf, "--genre Linux", 32, 9},                          // another length
		{&rateEstMatch, "--rateest e0 --rateest-gt", 32, 6},     // relative and absolute
		{&recent, "--set", 8, 3},                                // two commands
		{&timeMatch, "--timestart 10:00", 10, 9},                // behind midnight
		{&owner, "--uid-owner 5", 16, 9},                        // supplementary groups of no group
		{&pktType, "--pkt-type unicast", 0, 5},                  // PACKET_LOOPBACK
		{&stringMatch, "--string a --algo bm", 148, 129},        // longer than can be
		{&statistic, "--mode nth --every 3 --packet 0", 0, 2},   // a third mode
		{&quota, "--quota 1", 0, 2},                             // a flag nobody knows
		{&srh, "--srh-tag 1", 107, 0x40},                        // inverts what is not there
	} {
		f := familyOf(!c.d.Families.Has(rule.IPv4))
		words, err := shellWords(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		x, err := parseOptions(c.d, &Context{Family: f, Rule: &rule.Rule{}, Names: testNames()}, words)
		if err != nil {
			t.Fatalf("%s %s: %v", c.d.Name, c.opts, err)
		}
		rev := &c.d.Revisions[len(c.d.Revisions)-1]
		b := append(bytes.Clone(info(x.(XT), rev, f)), make([]byte, 16)...)
		if err := c.d.New(f).(XT).Read(nft.NewInfoReader(b), rev.Rev, f); err != nil {
			t.Errorf("%s %s is not read: %v", c.d.Name, c.opts, err)
		}
		b[c.at] = c.to
		if c.d.New(f).(XT).Read(nft.NewInfoReader(b), rev.Rev, f) == nil {
			t.Errorf("%s %s with byte %d set to %d is read", c.d.Name, c.opts, c.at, c.to)
		}
	}
}

// TestEqualTakesAFullMaskForNone: rules written with and without one are the same.
func TestEqualTakesAFullMaskForNone(t *testing.T) {
	for _, c := range []struct {
		d    *Def
		a, b string
		f    rule.Family
		same bool
	}{
		{&recent, "--set", "--set --mask 255.255.255.255", rule.IPv4, true},
		{&recent, "--set", "--set --mask 255.255.255.0", rule.IPv4, false},
		{&policy, "--dir in --mode tunnel --tunnel-src 1.1.1.1", "--dir in --mode tunnel --tunnel-src 1.1.1.1/32", rule.IPv4, true},
		{&policy, "--dir in --mode tunnel --tunnel-src 1.1.1.1", "--dir in --mode tunnel --tunnel-src 1.1.1.1/31", rule.IPv4, false},
		{&policy, "--dir in --reqid 1", "--dir in --strict --reqid 1", rule.IPv4, false},
		{&srh, "--srh-psid ::1", "--srh-psid ::1/128", rule.IPv6, true},
		{&srh, "--srh-psid ::1", "--srh-psid ::1/127", rule.IPv6, false},
		{&setMatch, "--match-set s4 src", "--match-set s4 dst", rule.IPv4, false},
		{&setMatch, "--match-set s4 src", "--match-set s4 src,dst", rule.IPv4, false},
		{&setMatch, "--match-set s4 src", "--match-set net src", rule.IPv4, false},
	} {
		var x [2]Ext
		for i, opts := range [...]string{c.a, c.b} {
			var err error
			x[i], err = parseOptions(c.d, &Context{Family: c.f, Rule: &rule.Rule{}, Names: testNames()}, strings.Fields(opts))
			if err != nil {
				t.Fatalf("%s %s: %v", c.d.Name, opts, err)
			}
		}
		if Equal(x[0], x[1]) != c.same || Equal(x[1], x[0]) != c.same {
			t.Errorf("%s %q equals %q: want %v", c.d.Name, c.a, c.b, c.same)
		}
	}
}

// TestHelpOfLanguages: u32 and sctp explain what their arguments are made of.
func TestHelpOfLanguages(t *testing.T) {
	if text := u32Match.HelpText(rule.IPv4); !strings.Contains(text, "LOCATION") {
		t.Errorf("u32 says %q", text)
	}
	text := sctp.HelpText(rule.IPv4)
	for _, c := range sctpChunks {
		if !strings.Contains(text, c.name) {
			t.Errorf("sctp does not tell of %s", c.name)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > 100 || line != strings.TrimRight(line, " ") {
			t.Errorf("a line of sctp's help is %q", line)
		}
	}
}
