package analyze

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/simulate"
)

// service is a sensitive port that is open to the world.
type service struct {
	sensitive
	port uint16
	door opened
	// listener is the program that listens there; nil: none, or not known.
	listener *host.Listener
}

// findOpenServices finds ports of databases, caches, container engines, queues
// and remote desktops that are open to the world. Where any port is open by the
// policy or one rule, that is told once for all; only those with a listener are
// told of then.
func findOpenServices(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	all, allOpen := w.anyPort()
	var found []service
	for _, row := range sensitivePorts {
		for port := row.from; port <= row.to; port++ {
			one := service{sensitive: row, port: port, listener: a.listener(w, row.proto, port)}
			if allOpen && one.listener == nil {
				continue
			}
			var open bool
			if one.door, open = w.open(row.proto, port); open && (one.door.by != all.by || !allOpen || one.listener != nil) {
				found = append(found, one)
			}
		}
	}
	list = append(list, findPublishedServices(w)...)
	for len(found) > 0 {
		by := found[0].door.by
		same := func(x service) bool { return x.door.by == by }
		var group []service
		for _, x := range found {
			if same(x) {
				group = append(group, x)
			}
		}
		found = slices.DeleteFunc(found, same)
		list = append(list, w.openService(a, by, group))
	}
	return list
}

// openService is the finding about the ports that one rule or policy opens.
func (w *world) openService(a *Auditor, by simulate.Place, group []service) Finding {
	f := Finding{Place: w.s.RefOf(by), Example: w.example("gets in", group[0].door.q, simulate.Accept)}
	var listening []string
	for _, x := range group {
		if x.listener != nil {
			listening = append(listening, listenerText(x.listener))
		}
	}
	f.Says = "opens " + serviceList(group) + " to the world"
	switch {
	case len(listening) > 0:
		f.Severity = Error
		f.Says += "; " + strings.Join(listening, ", ")
	case a.Listeners != nil:
		f.Severity = Note
		f.Says += "; nothing listens there now"
	default:
		f.Says += "; whether something listens there, the file does not say"
	}
	f.Fix = w.closePorts(by, group)
	return f
}

// closePorts puts rules before the one that opens ports, which drop what comes
// to them from elsewhere.
func (w *world) closePorts(by simulate.Place, group []service) *Fix {
	var lines []string
	from := "! -i lo"
	if w.told && len(w.outside) == 1 {
		from = "-i " + w.outside[0]
	}
	for _, proto := range [...]string{"tcp", "udp"} {
		var ports []string
		for _, x := range group {
			if x.proto == proto {
				ports = append(ports, fmt.Sprint(x.port))
			}
		}
		for part := range slices.Chunk(ports, 15) { // as many as multiport takes
			match := "-m multiport --dports " + strings.Join(part, ",")
			if len(part) == 1 {
				match = "-m " + proto + " --dport " + part[0]
			}
			lines = append(lines, before(by, fmt.Sprintf("%s -p %s %s -j DROP", from, proto, match)))
		}
	}
	return w.fix("keeps the world out; before it, let in who needs them", func(after *world) bool {
		for _, x := range group {
			if _, open := after.open(x.proto, x.port); open {
				return false
			}
		}
		return true
	}, lines...)
}

// listener finds the program that a port of the world's address belongs to.
func (a *Auditor) listener(w *world, proto string, port uint16) *host.Listener {
	number := uint8(packet.ProtoTCP)
	if proto == "udp" {
		number = packet.ProtoUDP
	}
	any := netip.IPv4Unspecified()
	if w.own.Is6() {
		any = netip.IPv6Unspecified()
	}
	for i := range a.Listeners {
		if l := &a.Listeners[i]; l.Takes(number, any, port) {
			return l
		}
	}
	return nil
}

func listenerText(l *host.Listener) string {
	if l.Program == "" {
		return fmt.Sprintf("a program listens on %d", l.Port)
	}
	return fmt.Sprintf("%s listens on %d", l.Program, l.Port)
}

// serviceList names ports: "PostgreSQL (tcp 5432) and MySQL (tcp 3306)".
func serviceList(group []service) string {
	var words []string
	for i := 0; i < len(group); {
		j := i + 1
		for j < len(group) && group[j].sensitive == group[i].sensitive {
			j++
		}
		ports := fmt.Sprint(group[i].port)
		if j > i+1 {
			ports += fmt.Sprintf("-%d", group[j-1].port)
		}
		words = append(words, fmt.Sprintf("%s (%s %s)", group[i].name, group[i].proto, ports))
		i = j
	}
	return andList(words)
}

// andList is "a", "a and b", "a, b and c".
func andList(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
