// Package netdb knows the names of services, protocols and hosts: the files
// /etc/services and /etc/protocols, read once and only when a name is asked
// for, and the host's resolver. See services(5), protocols(5).
package netdb

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// DB looks names up. The zero DB reads the files of /etc. It is not safe for
// use by several goroutines.
type DB struct {
	// Etc is the folder with services and protocols; "" is /etc.
	Etc string

	services  []service
	protocols []protocol
	readServ  bool
	readProto bool
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

// builtin are the protocol names that need no file, each name of a number that
// is printed before the ones that are only read.
var builtin = [...]struct {
	name   string
	number uint8
}{
	{"tcp", 6}, {"sctp", 132}, {"udp", 17}, {"udplite", 136}, {"icmp", 1},
	{"icmpv6", 58}, {"ipv6-icmp", 58}, {"esp", 50}, {"ah", 51}, {"ipv6-mh", 135}, {"mh", 135},
	{"all", 0}, {"dccp", 33}, {"ipcomp", 108},
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

// ProtocolName is the name of a protocol number; "" if it has none.
func (d *DB) ProtocolName(number uint8) string {
	for _, b := range builtin {
		if b.number == number {
			return b.name
		}
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
