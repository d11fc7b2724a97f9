// Package kernel turns changes and rulesets into nf_tables and back, in the
// form that iptables-nft 1.8.9 gives them ("linear": one nf_tables rule a rule).
//
// encode.go and decode.go are the two directions of one rule; plan*.go computes
// the transaction for a change.Script; read.go reads tables. Everything goes
// through a Kernel, which is bound to the network namespace it was opened in.
package kernel
