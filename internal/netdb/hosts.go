package netdb

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// resolveTimeout bounds one question to the resolver: a firewall command must
// not hang for minutes because a name server is behind the firewall.
const resolveTimeout = 10 * time.Second

// Hosts gives all addresses of a host name in one family (4 or 16 bytes), in
// the resolver's order, each once.
func (d *DB) Hosts(name string, addrLen int) ([]netip.Addr, error) {
	network := "ip4"
	if addrLen == 16 {
		network = "ip6"
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, network, name)
}

// HostName is an address's name as the resolver knows it; "" if it has none.
func (d *DB) HostName(a netip.Addr) string {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	names, err := net.DefaultResolver.LookupAddr(ctx, a.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	return strings.TrimSuffix(names[0], ".")
}
