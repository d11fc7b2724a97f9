package secure

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
)

// writer writes the file of one family.
type writer struct {
	in *Input
	o  *Options
	p  *Proposal
	f  *FamilyProposal
	// limited are the ports whose logins are limited already: a second rule would
	// count each of them twice.
	limited []host.PortRange
}

// say adds a comment. Names of programs stand in them, which anybody may choose:
// a comment ends where its line does, whatever they are.
func (w *writer) say(format string, args ...any) {
	w.f.Lines = append(w.f.Lines, "# "+printable(fmt.Sprintf(format, args...)))
}

// printable is a text in one line that moves no terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// line adds a line for the restore program.
func (w *writer) line(text string) { w.f.Lines = append(w.f.Lines, text) }

// rule adds a rule of our chain.
func (w *writer) rule(text string) { w.line("-A " + ownChain + " " + text) }

// head opens the table: the policies, and our chain, empty.
func (w *writer) head(t *rule.Table) {
	w.say("moat secure, %s: for %s-restore --noflush", w.f.Family.Name(), w.f.Family.Program())
	w.line("*filter")
	w.say("What no rule accepts is dropped.")
	w.line(":INPUT DROP [0:0]")
	if why := w.forwards(t.Chain("FORWARD")); why != "" {
		w.say("FORWARD stays as it is: %s.", why)
	} else {
		w.say("This host forwards nothing.")
		w.line(":FORWARD DROP [0:0]")
	}
	if c := t.Chain("OUTPUT"); c != nil && (len(c.Rules) > 0 || c.Base != nil && c.Base.Policy != rule.Accept) {
		w.say("OUTPUT stays as it is.")
	}
	w.line(":" + ownChain + " - [0:0]")
}

// forwards says why the chain FORWARD is to stay as it is; "" if it need not.
func (w *writer) forwards(c *rule.Chain) string {
	if c != nil && len(c.Rules) > 0 {
		return "it has rules, of containers or of a router"
	}
	if w.in.Facts == nil {
		return "nobody told whether this host forwards"
	}
	for _, i := range w.in.Facts.Interfaces {
		if w.f.Family == rule.IPv4 && i.Forward4 || w.f.Family == rule.IPv6 && i.Forward6 {
			if !i.Loopback {
				return "this host forwards what comes in by " + i.Name
			}
		}
	}
	return ""
}

// chain writes our chain.
func (w *writer) chain() {
	w.say("Programs of this host among themselves.")
	w.rule("-i lo -j ACCEPT")
	w.say("Answers, whatever goes on in connections that were let in, and errors that belong to them.")
	w.rule("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	if w.f.Family == rule.IPv6 {
		w.icmp6()
	}
	w.say("What belongs to no connection and begins none.")
	w.rule("-m conntrack --ctstate INVALID -j DROP")
	if w.f.Family == rule.IPv4 {
		w.say("Ping. Errors such as fragmentation-needed are RELATED.")
		w.rule("-p icmp -m icmp --icmp-type 8 -j ACCEPT")
		w.multicast()
	}
	w.dhcp()
	for i := range w.p.Services {
		w.service(&w.p.Services[i])
	}
	for i := range w.p.Closed {
		w.say("Not let in: %s.", w.p.Closed[i].Describe())
	}
	if w.o.Log {
		w.say("Some of what is dropped is logged.")
		w.rule(`-m limit --limit 10/min --limit-burst 20 -j LOG --log-prefix "moat drop: "`)
	}
}

// icmp6Types are what a host must not drop (RFC 4890, section 4.4), in the words
// of its rules. The hop limits are those that the protocols ask for: what has
// another one comes from beyond the link.
var icmp6Types = [...]struct {
	says  string
	types []int
	more  string
}{
	{"Errors: unreachable, packet too big, time exceeded, bad parameter.", []int{1, 2, 3, 4}, ""},
	{"Ping.", []int{128}, ""},
	{"Neighbours and routers of the link: solicitations and advertisements, also inverse and certified ones.", []int{133, 134, 135, 136, 141, 142, 148, 149}, "-m hl --hl-eq 255 "},
	{"Who wants which multicast (MLD).", []int{130, 131, 132, 143}, "-s fe80::/10 "},
	{"Who routes multicast.", []int{151, 152, 153}, "-s fe80::/10 -m hl --hl-eq 1 "},
}

// icmp6 stands before INVALID is dropped: connection tracking knows some of these
// types for nothing, and calls them so.
func (w *writer) icmp6() {
	for _, g := range icmp6Types {
		w.say("%s", g.says)
		for _, t := range g.types {
			source, more, _ := strings.Cut(g.more, "-m hl")
			if more != "" {
				more = "-m hl" + more
			}
			w.rule(source + "-p ipv6-icmp " + "-m icmp6 --icmpv6-type " + strconv.Itoa(t) + " " + more + "-j ACCEPT")
		}
	}
}

// multicast lets in the questions of switches and routers, if the host is in a
// group beyond that of all hosts.
func (w *writer) multicast() {
	if w.in.Facts == nil {
		return
	}
	all := netip.AddrFrom4([4]byte{224, 0, 0, 1})
	isMember := slices.ContainsFunc(w.in.Facts.Interfaces, func(i host.Interface) bool {
		return !i.Loopback && slices.ContainsFunc(i.Groups, func(a netip.Addr) bool { return a.Is4() && a != all })
	})
	if isMember {
		w.say("Who wants which multicast (IGMP): this host is in a group.")
		w.rule("-d 224.0.0.0/4 -p igmp -j ACCEPT")
	}
}

// dhcp lets in the answers of a DHCP server, which come from another address
// than the one that was asked.
func (w *writer) dhcp() {
	if w.f.Family == rule.IPv4 && hears(w.in.Listeners, dhcpClient) {
		w.say("Answers of the DHCP server.")
		w.rule("-p udp -m udp --sport 67 --dport 68 -j ACCEPT")
	}
	if w.f.Family == rule.IPv6 && hears(w.in.Listeners, dhcpv6Client) {
		w.say("Answers of the DHCPv6 server.")
		w.rule("-s fe80::/10 -d fe80::/10 -p udp -m udp --dport 546 -j ACCEPT")
	}
}

// service writes the rules of one service.
func (w *writer) service(s *Service) {
	sources := s.sources(w.f.Family)
	if len(sources) == 0 {
		return
	}
	title := s.title()
	if s.Why != "" {
		title += ": " + s.Why
	}
	w.say("%s.", title)
	if w.o.LimitSSH && s.login && s.Proto == packet.ProtoTCP && !slices.Contains(w.limited, s.Ports) {
		w.limit(s)
	}
	comment := s.Name
	if comment == "" {
		comment = s.Port()
	}
	p := ext.Printer{Family: w.f.Family}
	(&ext.Comment{Text: comment}).Save(&p)
	for _, from := range sources {
		source := ""
		if from.IsValid() {
			source = "-s " + from.String() + " "
		}
		proto := protoName(s.Proto)
		w.rule(source + "-p " + proto + " -m " + proto + " --dport " + dports(s.Ports) + " -m comment" + string(p.B) + " -j ACCEPT")
	}
}

// limit drops logins of one address (over IPv6: of one network of 64 bits) that
// come too fast. Only what begins a connection is counted, so that nobody who
// is logged in can be cut off by it, whatever connection tracking knows of him.
func (w *writer) limit(s *Service) {
	w.limited = append(w.limited, s.Ports)
	w.say("At most 6 new ones a minute from one address, 10 at once; who is in stays in.")
	mask := ""
	if w.f.Family == rule.IPv6 {
		mask = " --hashlimit-srcmask 64"
	}
	w.rule("-p tcp -m tcp --dport " + dports(s.Ports) + " --tcp-flags FIN,SYN,RST,ACK SYN -m hashlimit --hashlimit-above 6/min" +
		" --hashlimit-burst 10 --hashlimit-mode srcip" + mask + " --hashlimit-name moat-" + strconv.Itoa(int(s.Ports.First)) + " -j DROP")
}

func dports(r host.PortRange) string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + ":" + strconv.Itoa(int(r.Last))
}

// title is "ssh (22/tcp)", or the port alone.
func (s *Service) title() string {
	if s.Name == "" {
		return s.Port()
	}
	return s.Name + " (" + s.Port() + ")"
}

// Describe is "postgresql (5432/tcp), on which postgres listens at 10.0.0.1"; the
// addresses are left out where it is all of them.
func (o *Offer) Describe() string {
	programs := printable(strings.Join(o.Programs, " and "))
	if programs == "" {
		programs = "something"
	}
	text := o.title() + ", on which " + programs + " listens"
	var at []string
	for _, a := range o.Addrs {
		at = append(at, a.String())
	}
	if !slices.ContainsFunc(o.Addrs, netip.Addr.IsUnspecified) {
		text += " at " + strings.Join(at, " and ")
	}
	if o.ByContainers {
		text += " for a container"
	}
	return text
}

// input makes INPUT lead to our chain once, behind so many of the rules that stay.
func (w *writer) input(c *rule.Chain, before int) {
	w.list("Rules of INPUT that stay, before all of this:", w.f.Stay[:before])
	w.list("Rules of INPUT that stay, for what is not let in by this:", w.f.Stay[before:])
	if len(w.f.Replaced) > 0 {
		w.say("Rules of INPUT that are taken out:")
		for _, line := range w.f.Replaced {
			w.line("-D" + strings.TrimPrefix(line, "-A"))
		}
	}
	w.say("All that comes in goes through this.")
	jump := "INPUT -j " + ownChain
	if w.isInPlace(c, before) {
		w.say("INPUT leads there already: -A %s", jump)
		return
	}
	if c != nil {
		for _, r := range c.Rules {
			if target, is := r.Target.(rule.Jump); is && target.Chain == ownChain {
				w.line("-D" + strings.TrimPrefix(lineOf(w.f.Family, "INPUT", r), "-A"))
			}
		}
	}
	if before == len(w.f.Stay) {
		w.line("-A " + jump)
		return
	}
	w.line("-I INPUT " + strconv.Itoa(before+1) + " -j " + ownChain)
}

// maxListed is how many rules that stay are shown: there are hosts with long lists
// of who is shut out.
const maxListed = 20

// list writes rules that stay as comments.
func (w *writer) list(title string, lines []string) {
	for i, line := range lines {
		switch i {
		case 0:
			w.say("%s", title)
		case maxListed:
			w.say("  and %d more", len(lines)-i)
			return
		}
		w.say("  %s", line)
	}
}

// isInPlace reports whether INPUT has the one jump to our chain where it
// belongs, once the rules that are taken out are gone.
func (w *writer) isInPlace(c *rule.Chain, before int) bool {
	if c == nil {
		return false
	}
	jump, stay, found := lineOf(w.f.Family, "INPUT", &rule.Rule{Target: rule.Jump{Chain: ownChain}}), 0, false
	left := slices.Clone(w.f.Stay)
	for _, r := range c.Rules {
		line := lineOf(w.f.Family, "INPUT", r)
		target, isJump := r.Target.(rule.Jump)
		switch {
		case isJump && target.Chain == ownChain:
			if found || line != jump || stay != before {
				return false
			}
			found = true
		case len(left) > 0 && left[0] == line:
			left, stay = left[1:], stay+1
		}
	}
	return found
}

// foot closes the table.
func (w *writer) foot() { w.line("COMMIT") }
