// Package secure is what moat secure proposes: from what listens on a host, from
// the admin's own connection and from the rules that are there, one small
// ruleset for IPv4 and IPv6 together.
//
// A proposal is a value. It changes table filter alone, and in it three things:
// the chain MOAT-INPUT is made anew, INPUT jumps there once and drops what nobody
// accepts, and FORWARD drops everything on a host that forwards nothing. Chains
// of other programs and the rules that lead to them are not touched, and neither
// is OUTPUT nor any other table. Rules that somebody put into INPUT by hand are
// replaced, unless they shut somebody out or are asked to be kept: see keep.go.
//
// Printed, a proposal is a file for iptables-restore --noflush and one for
// ip6tables-restore --noflush; a second proposal for what the first one made
// comes to the same rules.
package secure
