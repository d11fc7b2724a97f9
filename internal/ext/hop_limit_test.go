package ext

import (
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// TestHopLimitNative reads comparisons that nft writes.
func TestHopLimitNative(t *testing.T) {
	for _, c := range []struct {
		family rule.Family
		offset uint32
		op     uint32
		value  uint8
		want   string // "": not read
	}{
		{rule.IPv4, 8, nft.NFT_CMP_EQ, 5, "--ttl-eq 5"}, {rule.IPv4, 8, nft.NFT_CMP_NEQ, 5, "! --ttl-eq 5"},
		{rule.IPv4, 8, nft.NFT_CMP_LT, 5, "--ttl-lt 5"}, {rule.IPv4, 8, nft.NFT_CMP_GT, 5, "--ttl-gt 5"},
		{rule.IPv4, 8, nft.NFT_CMP_LTE, 5, "--ttl-lt 6"}, {rule.IPv4, 8, nft.NFT_CMP_GTE, 5, "--ttl-gt 4"},
		{rule.IPv4, 8, nft.NFT_CMP_LTE, 255, ""}, {rule.IPv4, 8, nft.NFT_CMP_GTE, 0, ""}, {rule.IPv4, 7, nft.NFT_CMP_EQ, 5, ""},
		{rule.IPv6, 7, nft.NFT_CMP_EQ, 5, "--hl-eq 5"}, {rule.IPv6, 7, nft.NFT_CMP_LT, 5, "--hl-lt 5"}, {rule.IPv6, 8, nft.NFT_CMP_EQ, 5, ""},
	} {
		term := &nft.Term{Kind: nft.TermCompare, Op: c.op, Value: []byte{c.value},
			Load: nft.Load{Kind: nft.LoadPayload, Base: nft.NFT_PAYLOAD_NETWORK_HEADER, Offset: c.offset, Len: 1}}
		def := &ttl
		if c.family == rule.IPv6 {
			def = &hl
		}
		d := &Decoder{Family: c.family, Rule: &rule.Rule{}}
		if read := hopLimitNative(d, def, term); read != (c.want != "") {
			t.Errorf("%+v: read: %v", c, read)
			continue
		}
		if c.want == "" {
			continue
		}
		if got := printed(d.Rule.Matches[0].(Ext), c.family, d.Rule).save; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		term.Load.Mask = []byte{3}
		if hopLimitNative(d, def, term) {
			t.Errorf("%+v: a masked comparison is read", c)
		}
	}
}
