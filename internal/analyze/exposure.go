package analyze

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// Opening is connections from outside that a ruleset lets begin.
type Opening struct {
	Subject *Subject
	// Packets are their first packets; what they say of ports and sources is what
	// may open them. Nothing is said of what every first packet has.
	Packets space.Box
	// Leads is where the connection is sent instead, "172.17.0.2 port 80"; "" for
	// this host itself.
	Leads string
	// Forwarded says that it leaves this host again.
	Forwarded bool
	// By is the rule or policy that lets it in.
	By Ref
	// Limited are matches, such as limit, that no packet decides and that say yes
	// only sometimes. When are other conditions that no dimension holds.
	Limited, When []string
}

// Exposure is who may open what on a host, and through it by translation.
type Exposure struct {
	Subjects []*Subject
	Openings []Opening
	// Rest is what becomes of all other connections, a way to end each: of each
	// ruleset those that most packets meet first.
	Rest []Rest
	// Listeners are the host's listening sockets; nil: not told.
	Listeners []host.Listener
}

// Rest is the end of connections that are not let in.
type Rest struct {
	Subject *Subject
	Verdict simulate.Verdict
	By      Ref
	share   float64
}

// NewExposure works out what rulesets let in from any interface but lo.
func NewExposure(subjects []*Subject, listeners []host.Listener) *Exposure {
	e := &Exposure{Subjects: subjects, Listeners: listeners}
	for _, s := range subjects {
		m := NewModel(s.Ruleset)
		e.here(m, s)
		e.through(m, s)
	}
	slices.SortStableFunc(e.Openings, func(a, b Opening) int { return a.compare(&b) })
	return e
}

// openingKey is what the classes of one Opening have in common.
type openingKey struct {
	by        simulate.Place
	leads     string
	forwarded bool
	doubts    string
}

// doors collects accepted packets by what lets them in.
type doors struct {
	found map[openingKey][]space.Box
	order []openingKey
	lits  map[openingKey][]space.Literal
}

// add takes a class that is accepted, unless its doubts are answered as no packet
// from elsewhere to this host would have them.
func (d *doors) add(k *Class, f rule.Family) {
	b := k.Packets.WithoutLiterals()
	key := openingKey{by: k.By, leads: leads(k, f), forwarded: k.Taken == simulate.Through}
	var lits []space.Literal
	for _, l := range k.Packets.Literals() {
		usual, known := usually(l.Text, &k.Packets)
		switch {
		case l.IsMasked():
			b, _ = b.WithLiteral(l)
		case known && usual == l.Not:
			return
		case !known && !l.Not: // that others said no is no condition that one would name
			lits = append(lits, l)
			key.doubts += doubtName(l) + "\n"
		}
	}
	if d.found[key] == nil {
		d.order, d.lits[key] = append(d.order, key), lits
	}
	d.found[key] = append(d.found[key], b)
}

// doubtName is the name of a match that may answer otherwise when it is asked
// again, and the whole text of others.
func doubtName(l space.Literal) string {
	if isLimit(l) {
		name, _, _ := strings.Cut(strings.TrimPrefix(l.Text, "-m "), " ")
		return name
	}
	return l.Text
}

// isLimit reports whether no packet decides a match.
func isLimit(l space.Literal) bool {
	return l.Drawn || strings.HasPrefix(l.Text, "-m ") && strings.Contains(l.Text, " #")
}

// usually says how a condition answers for connections from elsewhere to this
// host, if it asks for what that means: the types of their addresses, and where
// packets go that are sent elsewhere.
func usually(text string, b *space.Box) (yes, known bool) {
	if text == leadsOut {
		return true, true
	}
	types, isDst := strings.CutPrefix(text, "-m addrtype --dst-type ")
	if isDst && !strings.Contains(types, " ") {
		return slices.Contains(strings.Split(types, ","), dstType(b)), true
	}
	types, isSrc := strings.CutPrefix(text, "-m addrtype --src-type ")
	if isSrc && !strings.Contains(types, " ") {
		return slices.Contains(strings.Split(types, ","), "UNICAST"), true
	}
	return false, false
}

// dstType is the type of the destinations of a box.
func dstType(b *space.Box) string {
	v := b.Values(space.Dst)
	for lo := range space.Runs(v) {
		switch {
		case v == nil:
		case space.Covers(multicast(false), v), space.Covers(multicast(true), v):
			return "MULTICAST"
		case lo == space.Num(uint32(1<<32-1)):
			return "BROADCAST"
		}
		break
	}
	return "LOCAL"
}

// multicast is the addresses of groups.
func multicast(v6 bool) space.Values {
	if v6 {
		return space.Addrs(netip.MustParseAddr("ff00::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
	}
	return space.Addrs(netip.MustParseAddr("224.0.0.0"), netip.MustParseAddr("239.255.255.255"))
}

// leads says where a class's packets are sent; "" if they stay as they are.
func leads(k *Class, f rule.Family) string {
	d := Describer(f)
	everything := space.Box{}
	addr, isAddr := nowText(k, &everything, space.Dst, d)
	port, isPort := nowText(k, &everything, space.DPort, d)
	switch {
	case isAddr && isPort:
		return addr + " port " + port
	case isPort:
		return "port " + port
	}
	return addr
}

// here adds the connections to this host.
func (e *Exposure) here(m *Model, s *Subject) {
	in := outside(simulate.In, s.Family)
	d := doors{found: map[openingKey][]space.Box{}, lits: map[openingKey][]space.Literal{}}
	rest := map[simulate.Place]*Rest{}
	var order []*Rest
	m.Each(simulate.In, in, func(k Class) bool {
		switch {
		case k.Taken != simulate.In, isSentOn(&k):
		case k.Verdict == simulate.Accept:
			d.add(&k, s.Family)
		default:
			if rest[k.By] == nil {
				rest[k.By] = &Rest{Subject: s, Verdict: k.Verdict, By: s.RefOf(k.By)}
				order = append(order, rest[k.By])
			}
			rest[k.By].share += k.Packets.Share()
		}
		return true
	})
	e.open(&d, s, in)
	slices.SortStableFunc(order, func(a, b *Rest) int { return cmp.Compare(b.share, a.share) })
	for _, r := range order {
		e.Rest = append(e.Rest, *r)
	}
}

// isSentOn reports whether packets have a destination set by rules, which is taken
// to be another host's even where routes are not told.
func isSentOn(k *Class) bool {
	return slices.ContainsFunc(k.Rewritten, func(r Rewrite) bool {
		_, ok := r.What.Target.(*ext.DNAT)
		return ok
	})
}

// through adds the connections that are sent on by translation.
func (e *Exposure) through(m *Model, s *Subject) {
	if !translates(s.Ruleset) {
		return
	}
	in := outside(simulate.Through, s.Family)
	d := doors{found: map[openingKey][]space.Box{}, lits: map[openingKey][]space.Literal{}}
	m.Each(simulate.Through, in, func(k Class) bool {
		if _, sent, _ := k.Now(space.Dst); sent && k.Verdict == simulate.Accept && k.Taken == simulate.Through {
			k.Packets, _ = k.Packets.Replace(space.Out, nil)
			d.add(&k, s.Family)
		}
		return true
	})
	e.open(&d, s, in)
}

// translates reports whether a ruleset sends packets elsewhere.
func translates(rs *rule.Ruleset) bool {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				switch r.Target.(type) {
				case *ext.DNAT, *ext.NetMap:
					return true
				}
			}
		}
	}
	return false
}

// open makes Openings of doors.
func (e *Exposure) open(d *doors, s *Subject, within space.Set) {
	for _, key := range d.order {
		boxes := space.Union(d.found[key]...)
		list, _ := parts(boxes, within)
		for _, b := range list {
			b = plainly(b, key, s.Family)
			o := Opening{Subject: s, Packets: b, Leads: key.leads, Forwarded: key.forwarded, By: s.RefOf(key.by)}
			o.doubts(d.lits[key], s.Family)
			e.Openings = append(e.Openings, o)
		}
	}
}

// plainly adds values that no packet from elsewhere has where that makes a box
// easier to describe: lo, the loopback network, and the address to which a
// connection is sent.
func plainly(b space.Box, key openingKey, f rule.Family) space.Box {
	add := func(d space.Dim, more space.Values) {
		v := b.Values(d)
		if v == nil {
			return
		}
		if all := space.Or(v, more); space.Count(all) < space.Count(v) {
			b, _ = b.Replace(d, all)
		}
	}
	add(space.In, space.Names("lo"))
	add(space.In, space.Names(""))
	add(space.Src, loopbacks(f))
	add(space.Dst, loopbacks(f))
	if word, _, _ := strings.Cut(key.leads, " "); word != "" {
		if a, err := netip.ParseAddr(word); err == nil {
			add(space.Dst, space.Addrs(a, a))
		}
	}
	return b
}

// loopbacks is the loopback network.
func loopbacks(f rule.Family) space.Values {
	if f == rule.IPv6 {
		return space.Addrs(netip.IPv6Loopback(), netip.IPv6Loopback())
	}
	return space.Addrs(netip.MustParseAddr("127.0.0.0"), netip.MustParseAddr("127.255.255.255"))
}

// doubts parts conditions that no dimension holds.
func (o *Opening) doubts(lits []space.Literal, f rule.Family) {
	for _, l := range lits {
		name := doubtName(l)
		switch {
		case !isLimit(l):
			if b, ok := (space.Box{}).WithLiteral(l); ok {
				o.When = append(o.When, strings.TrimPrefix(Describe(&b, f), space.Everything+" when "))
			}
		case !slices.Contains(o.Limited, name):
			o.Limited = append(o.Limited, name)
		}
	}
}

// outside is the first packets of connections from elsewhere: not by lo, and not
// from or to an address of the loopback network, which the kernel takes from
// lo only.
func outside(w simulate.Way, f rule.Family) space.Set {
	s := Fresh(w).And(Real(f, true))
	b, _ := space.Box{}.With(space.In, space.Complement(space.In, space.Names("lo")))
	for _, d := range [...]space.Dim{space.Src, space.Dst} {
		b, _ = b.With(d, space.Complement(d, loopbacks(f)))
	}
	b, _ = b.With(space.TTL, space.Span(space.TTL, space.Num(2), space.Num(255)))
	s = s.And(space.Of(b))
	tcp := boxOf(space.Proto, protoValues(packet.ProtoTCP))
	syn := boxOf(space.Flags, justOne(space.Flags, 2))
	return s.And(tcp).And(syn).Or(s.Minus(tcp))
}

// compare orders openings: those of this host first, by protocol and port.
func (o *Opening) compare(p *Opening) int {
	first := func(o *Opening, d space.Dim) space.Number {
		for lo := range space.Runs(o.Packets.Values(d)) {
			return lo
		}
		return space.Number{Hi: 1}
	}
	number := func(d space.Dim) int {
		a, b := first(o, d), first(p, d)
		return cmp.Or(cmp.Compare(a.Hi, b.Hi), cmp.Compare(a.Lo, b.Lo))
	}
	return cmp.Or(compareBool(o.Forwarded, p.Forwarded), number(space.DPort), number(space.Proto), number(space.ICMP), cmp.Compare(o.Subject.Family, p.Subject.Family))
}

// Single reports whether the opening is for one protocol, and gives it.
func (o *Opening) Single() (proto uint8, ok bool) {
	n, ok := space.Single(o.Packets.Values(space.Proto))
	return uint8(n.Lo), ok
}

// Takers are the listening sockets that connections through an opening of this
// host reach: those of its ports that others may reach, each program and port once.
func (e *Exposure) Takers(o *Opening) (list []host.Listener) {
	if o.Forwarded {
		return nil
	}
	any := netip.IPv4Unspecified()
	if o.Subject.Family == rule.IPv6 {
		any = netip.IPv6Unspecified()
	}
	for _, l := range e.Listeners {
		to := any
		if own := l.Addr.Unmap(); !own.IsUnspecified() {
			to = own
		}
		if l.IsLocal() || !l.Takes(l.Proto, to, l.Port) || to.Is4() != any.Is4() || !o.takes(&l) {
			continue
		}
		if !slices.ContainsFunc(list, func(x host.Listener) bool {
			return x.Proto == l.Proto && x.Port == l.Port && x.Program == l.Program
		}) {
			list = append(list, l)
		}
	}
	return list
}

// takes reports whether a socket's port is one of the opening's.
func (o *Opening) takes(l *host.Listener) bool {
	port := space.Num(l.Port)
	if v := o.Packets.Values(space.Dst); v != nil && !l.Addr.IsUnspecified() && !space.Has(v, space.AddrNumber(l.Addr.Unmap())) {
		return false
	}
	if at := strings.LastIndex(o.Leads, "port "); at >= 0 { // redirected
		return o.Leads[at+len("port "):] == strconv.Itoa(int(l.Port))
	}
	return space.Has(o.Packets.Values(space.Proto), space.Num(l.Proto)) && space.Has(o.Packets.Values(space.DPort), port)
}
