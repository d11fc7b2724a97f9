package secure

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"moat/internal/host"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/session"
)

// Offer is ports on which a program waits for connections from elsewhere, and
// that nothing asked for yet lets in.
type Offer struct {
	Service
	Programs []string     // that listen; none if /proc does not tell
	Addrs    []netip.Addr // that they listen on
	// Public says that it is a service that is commonly there for everybody, on a
	// port that only root gives away.
	Public bool
	// ByContainers says that a program of Docker holds the port for a container.
	ByContainers bool
}

// moshPorts are those from which mosh takes one for each session (mosh-server(1)).
var moshPorts = host.PortRange{First: 60000, Last: 61000}

// Ports of DHCP: where a client hears, see RFC 2131 and RFC 9915.
const (
	dhcpClient   = 68
	dhcpv6Client = 546
)

// isLoginProgram reports whether people log in by a program.
func isLoginProgram(name string) bool {
	return strings.HasPrefix(name, "sshd") || name == "dropbear"
}

// isLogin reports whether people log in by a listening socket: also where
// systemd holds it for sshd. It has to be root's, since every user may call a
// program sshd and have a port of it opened.
func isLogin(l *host.Listener) bool {
	return l.Proto == packet.ProtoTCP && l.UID == 0 && (isLoginProgram(l.Program) || l.Program == "systemd" && l.Port == 22)
}

// services are what a proposal lets in: first how the admin is connected, then
// what was asked for, then what people log in by. Nothing that was asked for
// takes away the admin's own way.
func services(in *Input, o *Options) []Service {
	asked := slices.Clone(o.Allow)
	var own []Service
	for _, s := range in.Sessions {
		own = addOwn(own, asked, s, in.names())
	}
	for i := range asked {
		s := &asked[i]
		s.login = slices.ContainsFunc(in.Listeners, func(l host.Listener) bool { return isLogin(&l) && s.has(l.Proto, l.Port) }) ||
			s.has(packet.ProtoTCP, 22)
		for _, c := range in.Sessions {
			if s.has(c.Proto, c.Server.Port()) && s.admits(clientOf(c)) {
				s.Why, s.own, s.login = ownWhy(c), true, s.login || isLoginProgram(c.Program)
			}
		}
	}
	list := append(own, asked...)
	for i := range in.Listeners {
		l := &in.Listeners[i]
		if isLogin(l) && !l.IsLocal() && !slices.ContainsFunc(list, func(s Service) bool { return s.has(l.Proto, l.Port) }) {
			list = append(list, Service{Name: serviceName(in.names(), l.Proto, onePort(l.Port)), Proto: l.Proto, Ports: onePort(l.Port), Why: "the way to log in", login: true})
		}
	}
	return merged(list)
}

// addOwn adds what a session needs that was not asked for: its port, for
// everybody, or for its client alone if the port was asked for others.
func addOwn(own, asked []Service, s session.Session, names *netdb.DB) []Service {
	port, client := s.Server.Port(), clientOf(s)
	add := Service{Proto: s.Proto, Ports: onePort(port), Why: ownWhy(s), own: true, login: isLoginProgram(s.Program) || port == 22}
	if s.Proto == packet.ProtoUDP && moshPorts.First <= port && port <= moshPorts.Last {
		add.Name, add.Ports = "mosh", moshPorts
	} else {
		add.Name = serviceName(names, s.Proto, add.Ports)
	}
	for i := range asked {
		if !asked[i].has(s.Proto, port) {
			continue
		}
		if asked[i].admits(client) {
			return own
		}
		add.From = []netip.Prefix{netip.PrefixFrom(client, client.BitLen())}
		add.Why += ", which --allow leaves out"
	}
	if i := slices.IndexFunc(own, func(o Service) bool { return o.Proto == add.Proto && o.Ports == add.Ports }); i >= 0 {
		if own[i].From != nil && add.From != nil && !slices.Contains(own[i].From, add.From[0]) {
			own[i].From = append(own[i].From, add.From...)
		}
		return own
	}
	return append(own, add)
}

func clientOf(s session.Session) netip.Addr { return s.Client.Addr().Unmap().WithZone("") }

func ownWhy(s session.Session) string { return "your own connection from " + clientOf(s).String() }

func onePort(port uint16) host.PortRange { return host.PortRange{First: port, Last: port} }

// merged leaves out what another service of the list lets in already.
func merged(list []Service) (out []Service) {
	for i := range list {
		s := &list[i]
		isCovered := func(o Service) bool {
			return o.Proto == s.Proto && o.Ports.First <= s.Ports.First && s.Ports.Last <= o.Ports.Last &&
				(o.From == nil || slices.Equal(o.From, s.From)) && !(s.Why != "" && o.Why == "")
		}
		if !slices.ContainsFunc(out, isCovered) {
			out = append(out, *s)
		}
	}
	return out
}

// Offers are the services of the host that would not be let in: what listens
// for others, but for what the options and the admin's own connection open.
func Offers(in *Input, o *Options) (list []Offer) {
	allowed := services(in, o)
	for i := range in.Listeners {
		l := &in.Listeners[i]
		isAllowed := slices.ContainsFunc(allowed, func(s Service) bool { return s.has(l.Proto, l.Port) })
		if l.IsLocal() || isAllowed || isHousekeeping(l) {
			continue
		}
		at := slices.IndexFunc(list, func(o Offer) bool { return o.has(l.Proto, l.Port) })
		if at < 0 {
			at = len(list)
			k := known(l.Proto, l.Port)
			list = append(list, Offer{
				Service: Service{Name: serviceName(in.names(), l.Proto, onePort(l.Port)), Proto: l.Proto, Ports: onePort(l.Port)},
				Public:  k != nil && k.public && (l.UID == 0 || l.Port < 1024), ByContainers: l.Program == "docker-proxy",
			})
		}
		if l.Program != "" && !slices.Contains(list[at].Programs, l.Program) {
			list[at].Programs = append(list[at].Programs, l.Program)
		}
		if a := l.Addr.Unmap(); !slices.Contains(list[at].Addrs, a) {
			list[at].Addrs = append(list[at].Addrs, a)
		}
	}
	slices.SortStableFunc(list, func(a, b Offer) int {
		return cmp.Or(cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Proto, b.Proto))
	})
	return list
}

// isHousekeeping reports whether a socket is no service: of a DHCP client, which
// the rules look after, or bound by a program for its own questions to others (a
// port that the kernel chose: net.ipv4.ip_local_port_range is 32768 to 60999).
func isHousekeeping(l *host.Listener) bool {
	if l.Proto != packet.ProtoUDP {
		return false
	}
	isChosen := l.Port >= 32768 && l.Port <= 60999 && l.Program != "" && known(l.Proto, l.Port) == nil
	return isChosen || l.Port == dhcpClient || l.Port == dhcpv6Client
}

// hears reports whether a program waits on a UDP port.
func hears(list []host.Listener, port uint16) bool {
	return slices.ContainsFunc(list, func(l host.Listener) bool { return l.Proto == packet.ProtoUDP && l.Port == port && !l.IsLocal() })
}
