package kernel

import (
	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// canonical gives a rule as it will be read back from the kernel: what has two
// spellings but one kernel form ("! --dport :1023" and "--dport 1024:") becomes
// one, so that -C and -D find what -A wrote. A rule that cannot be encoded
// comes back as it is: it is in no kernel.
func (k *Kernel) canonical(f rule.Family, r *rule.Rule) *rule.Rule {
	b := &nft.Buffer{}
	enc := &ext.Encoder{Buffer: b, Family: f, Kernel: k}
	if encodeRule(enc, r) != nil {
		return r
	}
	read, err := decodeRule(f, &nft.RuleView{Expressions: b.Bytes()})
	if err != nil || read.Foreign {
		return r
	}
	return read
}
