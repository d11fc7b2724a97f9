package ext

import (
	"bytes"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// TestTargetsRefuseNonsense gives structs full of ones, and no bytes at all, to each
// target: they are refused, except where ones mean something.
func TestTargetsRefuseNonsense(t *testing.T) {
	takesAll := map[string]bool{ // any bytes mean something, or in SET that no set is given
		"CLASSIFY": true, "MARK": true, "TOS": true, "TPROXY": true, "TCPMSS": true, "TCPOPTSTRIP": true, "TRACE": true,
	}
	for _, d := range All() {
		if d.Kind != Target {
			continue
		}
		for _, r := range d.Revisions {
			f := rule.IPv4
			if !d.Families.Has(f) || !r.in(f) {
				f = rule.IPv6
			}
			x := d.New(f).(XT)
			ones := nft.NewInfoReader(bytes.Repeat([]byte{0xff}, r.Size))
			takes := takesAll[d.Name] || r.Size == 0 || d.Name == "NFQUEUE" && r.Rev < 2 || d.Name == "SET" && r.Rev == 0
			if err := x.Read(ones, r.Rev, f); (err == nil) != takes {
				t.Errorf("%s revision %d: reads ones with error %v: %+v", d.Name, r.Rev, err, x)
			}
			nothing := nft.NewInfoReader(nil)
			if err := d.New(f).(XT).Read(nothing, r.Rev, f); err == nil && nothing.Err() == nil && r.Size > 0 {
				t.Errorf("%s revision %d: reads a struct of %d bytes out of none", d.Name, r.Rev, r.Size)
			}
		}
	}
}

// TestTraceAsXT reads the xt form of TRACE, which older programs wrote.
func TestTraceAsXT(t *testing.T) {
	d := Decoder{Family: rule.IPv4, Rule: &rule.Rule{}}
	d.XT(&nft.Term{Kind: nft.TermTarget, Name: []byte("TRACE")})
	if d.Rule.Target == nil || !Equal(d.Rule.Target.(Ext), &Trace{}) {
		t.Fatalf("read as %#v", d.Rule.Target)
	}
	if got := printed(&Trace{}, rule.IPv4, d.Rule); got != (answer{}) {
		t.Errorf("prints %q", got)
	}
	if name := ColumnName(d.Rule.Target); name != "TRACE" {
		t.Errorf("is listed as %q", name)
	}
	if name := ColumnName(&CT{Alias: true}); name != "CT" {
		t.Errorf("NOTRACK is listed as %q, want CT as 1.8.9 has it", name)
	}
}
