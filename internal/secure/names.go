package secure

import (
	"moat/internal/host"
	"moat/internal/netdb"
	"moat/internal/packet"
)

// knownService is a service that may be told by its name also where there is
// no /etc/services, and what one thinks of it that listens to the world.
type knownService struct {
	name  string
	proto uint8
	port  uint16
	// public says that it is commonly there for everybody, so that the question
	// whether to let it in begins with yes.
	public bool
}

var knownServices = [...]knownService{
	{name: "ssh", proto: packet.ProtoTCP, port: 22, public: true},
	{name: "smtp", proto: packet.ProtoTCP, port: 25, public: true},
	{name: "domain", proto: packet.ProtoTCP, port: 53, public: true},
	{name: "domain", proto: packet.ProtoUDP, port: 53, public: true},
	{name: "dns", proto: packet.ProtoTCP, port: 53, public: true},
	{name: "dns", proto: packet.ProtoUDP, port: 53, public: true},
	{name: "http", proto: packet.ProtoTCP, port: 80, public: true},
	{name: "imap", proto: packet.ProtoTCP, port: 143},
	{name: "https", proto: packet.ProtoTCP, port: 443, public: true},
	{name: "https", proto: packet.ProtoUDP, port: 443, public: true},
	{name: "submissions", proto: packet.ProtoTCP, port: 465, public: true},
	{name: "submission", proto: packet.ProtoTCP, port: 587, public: true},
	{name: "imaps", proto: packet.ProtoTCP, port: 993, public: true},
	{name: "openvpn", proto: packet.ProtoUDP, port: 1194, public: true},
	{name: "mysql", proto: packet.ProtoTCP, port: 3306},
	{name: "postgresql", proto: packet.ProtoTCP, port: 5432},
	{name: "redis", proto: packet.ProtoTCP, port: 6379},
	{name: "memcached", proto: packet.ProtoTCP, port: 11211},
	{name: "mongodb", proto: packet.ProtoTCP, port: 27017},
	{name: "wireguard", proto: packet.ProtoUDP, port: 51820, public: true},
}

// findService is the port of a service by its name, of the host's list or of
// ours.
func findService(names *netdb.DB, name string, proto uint8) (uint16, bool) {
	if port, ok := names.Service(name, protoName(proto)); ok && port != 0 {
		return port, true
	}
	for i := range knownServices {
		if k := &knownServices[i]; k.name == name && k.proto == proto {
			return k.port, true
		}
	}
	return 0, false
}

// serviceName is the name of a port; "" for a range and for a port without one.
func serviceName(names *netdb.DB, proto uint8, ports host.PortRange) string {
	if ports.First != ports.Last {
		return ""
	}
	if k := known(proto, ports.First); k != nil {
		return k.name
	}
	return names.ServiceName(ports.First, protoName(proto))
}

// known is the row of a port; nil if it has none.
func known(proto uint8, port uint16) *knownService {
	for i := range knownServices {
		if k := &knownServices[i]; k.proto == proto && k.port == port {
			return k
		}
	}
	return nil
}
