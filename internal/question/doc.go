// Package question is the language in which people ask about packets:
//
//	tcp 203.0.113.7:50000 -> 198.51.100.2:22 in eth0 state NEW flags SYN
//
// A protocol, two addresses with their ports, then words in any order (the
// table of words.go). Parse reads one packet and gives what was left out its
// natural default; ParseRange reads a set of packets, in which addresses, ports
// and most other values may be ranges, lists and "any":
//
//	tcp from 10.0.0.0/8 to any:1-1024 in eth0
//
// It is pure: names of services, protocols and users come from the DB that it
// is given, and the host's addresses and routes only through packet.Host.
package question
