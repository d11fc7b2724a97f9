// Package netdb knows the names of services, protocols, hosts and networks: the
// files /etc/services, /etc/protocols, /etc/hosts and /etc/networks, each read
// once and only when a name is asked for, and the host's resolver. See
// services(5), protocols(5), hosts(5), networks(5).
package netdb

import (
	"bufio"
	"bytes"
	"context"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// DB looks names up. The zero DB reads the files of /etc. It is not safe for
// use by several goroutines.
type DB struct {
	// Etc is the folder of the files; "" is /etc.
	Etc string
	// Resolve gives the names of an address that /etc/hosts does not have; nil
	// is the host's resolver.
	Resolve func(ctx context.Context, addr string) ([]string, error)
	// Lookup gives the addresses of a name that /etc/hosts does not have, in
	// network "ip4" or "ip6"; nil is the host's resolver.
	Lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)

	// Sets answers for ipset(8); nil is the kernel.
	Sets SetTable

	// Warn takes a line for stderr about a file that should be there; nil drops it.
	Warn func(line string)

	services  []service
	protocols []protocol
	readServ  bool
	readProto bool

	hosts    []entry
	networks []entry
	readHost bool
	readNet  bool

	numbers map[string][]numbered // files of numbers with names, by file
	sets    []Set                 // answers of Sets

	names  map[netip.Addr]string // answers of the resolver; "" for no name
	failed int                   // questions in a row that nobody answered

	labels connLabels
}

type service struct {
	names []string // the official name first, then its aliases
	port  uint16
	proto string
}

type protocol struct {
	names  []string
	number uint8
}

// builtin are the protocol names that iptables 1.8.9 knows without a file. The
// first name of a number is the one that is printed, and goes before the
// file's. (Found by experiment with other and empty files in place of
// /etc/protocols.)
var builtin = [...]struct {
	name   string
	number uint8
}{
	{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"ipv6-icmp", 58}, {"icmpv6", 58}, {"all", 0},
	{"sctp", 132}, {"udplite", 136}, {"esp", 50}, {"ah", 51},
	{"mobility-header", 135}, {"ipv6-mh", 135}, {"mh", 135},
}

func (d *DB) path(name string) string {
	if d.Etc == "" {
		return "/etc/" + name
	}
	return d.Etc + "/" + name
}

// Service is the port of a service by name or alias for a protocol ("tcp"); proto "" means any.
func (d *DB) Service(name, proto string) (port uint16, ok bool) {
	d.loadServices()
	for i := range d.services {
		s := &d.services[i]
		if proto != "" && s.proto != proto {
			continue
		}
		for _, n := range s.names {
			if n == name {
				return s.port, true
			}
		}
	}
	return 0, false
}

// ServiceName is the first name of a port for a protocol; "" if it has none.
func (d *DB) ServiceName(port uint16, proto string) string {
	d.loadServices()
	for i := range d.services {
		s := &d.services[i]
		if s.port == port && (proto == "" || s.proto == proto) {
			return s.names[0]
		}
	}
	return ""
}

// Protocol is a protocol's number by its lower-case name.
func (d *DB) Protocol(name string) (number uint8, ok bool) {
	for _, b := range builtin {
		if b.name == name {
			return b.number, true
		}
	}
	d.loadProtocols()
	for i := range d.protocols {
		for _, n := range d.protocols[i].names {
			if n == name {
				return d.protocols[i].number, true
			}
		}
	}
	return 0, false
}

// BuiltinProtocolName is the name that iptables itself has for a protocol
// number; "" if it has none.
func BuiltinProtocolName(number uint8) string {
	for i := range builtin {
		if builtin[i].number == number {
			return builtin[i].name
		}
	}
	return ""
}

// ProtocolName is the name of a protocol number, built in or of
// /etc/protocols; "" if it has none. A nil DB is a new one.
func (d *DB) ProtocolName(number uint8) string {
	if name := BuiltinProtocolName(number); name != "" {
		return name
	}
	if d == nil {
		d = &DB{}
	}
	d.loadProtocols()
	for i := range d.protocols {
		if d.protocols[i].number == number {
			return d.protocols[i].names[0]
		}
	}
	return ""
}

// eachLine calls f with the words of each line of a file, comments cut off. A
// file that cannot be read has no lines: names are then simply not known.
func eachLine(path string, f func(words []string)) {
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if words := strings.Fields(line); len(words) >= 2 {
			f(words)
		}
	}
}

func (d *DB) loadServices() {
	if d.readServ {
		return
	}
	d.readServ = true
	eachLine(d.path("services"), func(w []string) {
		number, proto, ok := strings.Cut(w[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil {
			return
		}
		names := append([]string{w[0]}, w[2:]...)
		d.services = append(d.services, service{names: names, port: uint16(port), proto: proto})
	})
}

func (d *DB) loadProtocols() {
	if d.readProto {
		return
	}
	d.readProto = true
	eachLine(d.path("protocols"), func(w []string) {
		number, err := strconv.ParseUint(w[1], 10, 8)
		if err != nil {
			return
		}
		names := append([]string{w[0]}, w[2:]...)
		d.protocols = append(d.protocols, protocol{names: names, number: uint8(number)})
	})
}
