// Package traffic shows by real packets that rules do what the manual says of
// them. It has tests only.
//
// Every test makes a lab, gives it rules by Moat's own iptables and ip6tables,
// sends packets and looks at what becomes of them: what a probe is answered,
// what a host sees on its wire, and what the rules' counters say. Each test
// also sends what the rule must leave alone, or the same packet without the
// rule, so that a rule which does nothing, or everything, fails it.
//
// Where the kernel lacks an extension its test is skipped, but only after
// Debian's program was refused the same rule by the same kernel.
//
// MOAT_TRAFFIC_PROGRAM names a binary to test instead of one built from
// cmd/moat. Given Debian's own /usr/sbin/xtables-nft-multi every test must
// pass, which shows that the tests ask what iptables does.
package traffic
