package secure

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"moat/internal/host"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Service is ports of this host that may be reached from elsewhere.
type Service struct {
	Name  string // "ssh"; "" if the ports have none
	Proto uint8  // packet.ProtoTCP or packet.ProtoUDP
	Ports host.PortRange
	// From are the networks that may; nil for everybody.
	From []netip.Prefix
	// Why says by whose wish it is in a proposal, in a few words; "" if the name
	// says all.
	Why string
	// login says that people log in by it: --limit-ssh is for it.
	login bool
	own   bool // the admin's connection came by it
}

// Port is the ports and the protocol: "5432/tcp", "60000-61000/udp".
func (s *Service) Port() string {
	text := strconv.Itoa(int(s.Ports.First))
	if s.Ports.Last != s.Ports.First {
		text += "-" + strconv.Itoa(int(s.Ports.Last))
	}
	return text + "/" + protoName(s.Proto)
}

// has reports whether a port is among the service's.
func (s *Service) has(proto uint8, port uint16) bool {
	return s.Proto == proto && s.Ports.First <= port && port <= s.Ports.Last
}

// admits reports whether an address may reach the service.
func (s *Service) admits(a netip.Addr) bool {
	for _, n := range s.From {
		if n.Contains(a) {
			return true
		}
	}
	return s.From == nil
}

// sources are the networks of a family that may; one that is not valid stands for
// everybody. None: nobody of this family may.
func (s *Service) sources(f rule.Family) (list []netip.Prefix) {
	if s.From == nil {
		return []netip.Prefix{{}}
	}
	for _, n := range s.From {
		if familyOf(n.Addr()) == f {
			list = append(list, n)
		}
	}
	return list
}

func familyOf(a netip.Addr) rule.Family {
	if a.Is4() {
		return rule.IPv4
	}
	return rule.IPv6
}

func protoName(proto uint8) string {
	if proto == packet.ProtoUDP {
		return "udp"
	}
	return "tcp"
}

// AllowError says what is wrong with a list of services, and where.
type AllowError struct {
	Column int    // in characters, from 1
	Word   string // as it was written; "" at the end
	Msg    string // what is wrong and what would be right
}

// Error is one line: the column, the word, what is wrong.
func (e *AllowError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("column %d: %s", e.Column, e.Msg)
	}
	return fmt.Sprintf("column %d, %q: %s", e.Column, e.Word, e.Msg)
}

// ParseAllow reads a list of services: "ssh,http,5432/tcp from 10.0.0.0/8,::1".
// Each is a name, a port or a range of ports, the latter two with a protocol
// unless TCP is meant, and may have networks behind "from": as long as what
// follows a comma is an address, it is one more network. A name stands for
// all of TCP and UDP that it has in names (nil reads /etc). Errors are *AllowError.
func ParseAllow(text string, names *netdb.DB) ([]Service, error) {
	if names == nil {
		names = &netdb.DB{}
	}
	p := allowParser{text: text, names: names}
	for at := 0; at <= len(text); {
		end := at + strings.IndexByte(text[at:]+",", ',')
		if err := p.piece(at, end); err != nil {
			return nil, err
		}
		at = end + 1
	}
	return p.services, nil
}

// allowParser reads a list of services from left to right.
type allowParser struct {
	text     string
	names    *netdb.DB
	services []Service
	last     int // the first of services that the last element made
	isFrom   bool
}

// word is a word of the text and where it begins, in bytes.
type word struct {
	text string
	at   int
}

func (p *allowParser) wrong(w word, format string, args ...any) error {
	return &AllowError{Column: utf8.RuneCountInString(p.text[:w.at]) + 1, Word: w.text, Msg: fmt.Sprintf(format, args...)}
}

// words gives the words between two places of the text.
func (p *allowParser) words(at, end int) (list []word) {
	for {
		rest := strings.TrimLeft(p.text[at:end], " \t\n")
		if rest == "" {
			return list
		}
		at = end - len(rest)
		w := rest
		if i := strings.IndexAny(rest, " \t\n"); i >= 0 {
			w = rest[:i]
		}
		list = append(list, word{w, at})
		at += len(w)
	}
}

// piece reads what stands between two commas.
func (p *allowParser) piece(at, end int) error {
	words := p.words(at, end)
	if len(words) == 0 {
		return p.wrong(word{"", end}, "a service is missing here: a name, a port or PORT/PROTO is wanted")
	}
	if n, isNet := parseNet(words[0].text); isNet {
		if !p.isFrom {
			return p.wrong(words[0], `a network stands behind "from": ssh from %s`, words[0].text)
		}
		p.add(n)
		return p.end(words[1:])
	}
	found, err := p.service(words[0])
	if err != nil {
		return err
	}
	p.last, p.isFrom = len(p.services), false
	p.services = append(p.services, found...)
	if len(words) == 1 {
		return nil
	}
	if words[1].text != "from" {
		return p.wrong(words[1], `a comma, or "from" and a network, is wanted here`)
	}
	if len(words) == 2 {
		return p.wrong(word{"", end}, `an address or a network is wanted behind "from": 10.0.0.0/8`)
	}
	n, isNet := parseNet(words[2].text)
	if !isNet {
		return p.wrong(words[2], "no address and no network: 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32 is wanted")
	}
	p.isFrom = true
	p.add(n)
	return p.end(words[3:])
}

// end wants a piece to end here.
func (p *allowParser) end(rest []word) error {
	if len(rest) == 0 {
		return nil
	}
	return p.wrong(rest[0], "a comma is wanted before it")
}

// add gives the last element a network.
func (p *allowParser) add(n netip.Prefix) {
	for i := p.last; i < len(p.services); i++ {
		p.services[i].From = append(p.services[i].From, n)
	}
}

// parseNet reads an address, or a network whose bits beyond its length are cut.
func parseNet(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return n.Masked(), true
}

// service reads a name, a port or a range, with or without a protocol.
func (p *allowParser) service(w word) ([]Service, error) {
	name, proto, hasProto := strings.Cut(w.text, "/")
	protos := []uint8{packet.ProtoTCP, packet.ProtoUDP}
	switch {
	case !hasProto:
	case proto == "tcp":
		protos = protos[:1]
	case proto == "udp":
		protos = protos[1:]
	default:
		return nil, p.wrong(w, "a protocol behind / is tcp or udp; others are let in by rules of your own and --keep")
	}
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		ports, msg := parsePorts(name)
		if msg != "" {
			return nil, p.wrong(w, "%s", msg)
		}
		return []Service{{Name: serviceName(p.names, protos[0], ports), Proto: protos[0], Ports: ports}}, nil
	}
	var list []Service
	for _, number := range protos {
		if port, ok := findService(p.names, name, number); ok {
			list = append(list, Service{Name: name, Proto: number, Ports: host.PortRange{First: port, Last: port}})
		}
	}
	if list == nil {
		return nil, p.wrong(w, "no service of that name is known; its port does as well: 8080/tcp")
	}
	return list, nil
}

// parsePorts reads "22" or "6000-6010"; msg says what is wrong.
func parsePorts(s string) (r host.PortRange, msg string) {
	first, last, isRange := strings.Cut(strings.Replace(s, ":", "-", 1), "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	switch {
	case errA != nil || errB != nil || a == 0:
		return r, "a port is a number from 1 to 65535, a range is 6000-6010"
	case b < a:
		return r, "the range ends before it begins"
	}
	return host.PortRange{First: uint16(a), Last: uint16(b)}, ""
}
