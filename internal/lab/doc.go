// Package lab makes throwaway hosts: network namespaces joined by veth links,
// with addresses, routes, echo servers and probes, for tests, `moat lab` and
// `make demo`. Nothing of a lab has a name on the machine: a namespace lives
// as long as a descriptor, a socket or a child of this process holds it, so
// that a killed process leaves nothing behind, and no lab has a way out to
// the machine's own network.
//
// A test's package says once
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
//
// which gives it a user namespace when it is not root, and then writes
//
//	n := lab.NewRouted(t) // client - router - server, IPv4 and IPv6
//	n.Server.Echo("tcp 22,80 udp 53")
//	n.Client.Expect(lab.TCP("198.51.100.2:22"), lab.Open)
//	n.Server.RunShell("nft add table ip f; …")
//	n.Client.Expect(lab.TCP("198.51.100.2:80").From("203.0.113.66"), lab.Silent)
//
// A test that needs one empty namespace with lo up takes lab.Netns(t).
//
// In a lab made with a TB (New, NewPair, NewRouted, Netns) the methods that
// build (Host, Connect, AddRoute, Forward, Echo …) fail the test instead of
// returning an error; in one made with Begin they return it.
//
// The package imports no testing and does nothing in init, since the drop-in
// programs share their binary with `moat lab`.
package lab
