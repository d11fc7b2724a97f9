// Package guard keeps admins from cutting themselves off: it is the kernel.Gate
// that every change passes.
//
// It knows by which connections the caller works on this host (package session)
// and which more are to be protected (moat.toml). Of each it asks packet.Packets
// that have to get through (ask.go): the connection's own, those of a new one
// from the same client, their answers, and what IPv6 needs to find its
// neighbours. The simulator answers for the rules as they are and as they would
// be (trial.go). What got through before and would not after is refused, with the
// rule that does it and with commands that make the change safe, which were tried
// by simulation (remedy.go). What nobody can tell passes with a warning.
//
// Most changes are decided by themselves, without reading the firewall
// (harmless.go): an ACCEPT in table filter harms nobody, and a rule that cannot
// match any of those packets harms nobody who is protected.
package guard
