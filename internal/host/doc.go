// Package host is what this host knows that rules ask for, none of it the
// firewall: interfaces, addresses, routes and policy routing, the content of
// ipsets, and which programs listen. Facts implements packet.Host.
//
// Facts are read once, in the network namespace of the calling thread
// (lock it to the goroutine if it is not the process's own namespace), and are
// values from then on: a question to it asks no kernel, so a million packets
// are answered by the same state, and a test writes Facts by hand. What
// changes after Read (an address, a link that goes down, an element of a set
// that times out) is not seen; read again for that.
//
// Where one answer is enough, functions ask the kernel for that alone, and each
// time: FindSocket, Listens, Track, WayTo, Owns.
package host
