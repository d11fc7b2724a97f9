package analyze

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// world is what a ruleset stands against: sources all over the Internet, the
// interfaces by which they come, and an address of the host's own. What is said
// of the world is asked of the simulation, packet by packet.
type world struct {
	s      *Subject
	walker *simulate.Walker
	// sources are public addresses: the first few those of documentation, the
	// rest by chance from all over, so that neither a list of bogus networks nor
	// one of bad ones hides what the others may.
	sources []netip.Addr
	own     netip.Addr
	// outside are interfaces. If told they are those to the outside, otherwise
	// all that there may be, and what is said has to hold for each.
	outside []string
	told    bool
	free    []uint16 // ports that no rule names
	made    map[string]*question.Question
}

// world gives the world of a ruleset.
func (a *Auditor) world(s *Subject) *world {
	if s.world == nil {
		s.world = newWorld(a, s)
	}
	return s.world
}

// after is the world of a ruleset that a fix has made, seen from the same places.
// It is asked little, so that no index is made for it.
func (w *world) after(s *Subject) *world {
	c := *w
	c.s, c.walker, c.made = s, s.Firewall().Walker(), map[string]*question.Question{}
	return &c
}

func newWorld(a *Auditor, s *Subject) *world {
	w := &world{s: s, walker: s.Indexed().Walker(), made: map[string]*question.Question{}}
	w.own = netip.AddrFrom4([4]byte{198, 51, 100, 2})
	if s.Family == rule.IPv6 {
		w.own = netip.MustParseAddr("2001:db8:c633::2")
	}
	w.addSources()
	w.free = freePorts(s)
	facts, _ := s.host.(*host.Facts)
	switch {
	case facts != nil && w.askHost(facts):
	default:
		w.readRules(a)
	}
	return w
}

// worldSize is how many sources stand for all, and worldOpen how many of them
// must get in before a door stands open to the world: blocklists take some.
const (
	worldSize = 16
	worldOpen = 12
)

// addSources chooses the sources; equal rulesets get equal ones.
func (w *world) addSources() {
	r := rand.New(rand.NewPCG(3, uint64(w.s.Family)))
	if w.s.Family == rule.IPv6 {
		w.sources = append(w.sources, netip.MustParseAddr("2001:db8:77::7"))
		for len(w.sources) < worldSize {
			first := [...][2]byte{{0x20, 0x01}, {0x24, 0x00}, {0x26, 0x00}, {0x28, 0x00}, {0x2a, 0x00}, {0x2a, 0x02}, {0x2c, 0x0f}}[r.IntN(7)]
			b := [16]byte{first[0], first[1], 0x10 + byte(r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), 15: byte(2 + r.IntN(200))}
			w.sources = append(w.sources, netip.AddrFrom16(b))
		}
		return
	}
	for _, doc := range [...][4]byte{{203, 0, 113, 7}, {192, 0, 2, 7}} {
		w.sources = append(w.sources, netip.AddrFrom4(doc))
	}
	for len(w.sources) < worldSize {
		a := netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))})
		if !isBogon(a) {
			w.sources = append(w.sources, a)
		}
	}
}

// isBogon reports whether an address is none of a host on the Internet.
func isBogon(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return true
	}
	for _, p := range [...]string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

// narrow is how many ports a range may have to be one that means them.
const narrow = 10000

// freePorts are three ports that no rule names, alone or in a narrow range.
func freePorts(s *Subject) (free []uint16) {
	var named []ext.Range
	for r := range s.eachRule() {
		for _, m := range r.Matches {
			if x, ok := m.(ext.PortLister); ok {
				src, dst := x.PortRanges()
				named = append(append(named, src...), dst...)
			}
		}
	}
	has := func(p uint16) bool {
		return isSensitive(p) || slices.ContainsFunc(named, func(r ext.Range) bool { return r.To-r.From < narrow && r.From <= p && p <= r.To })
	}
	r := rand.New(rand.NewPCG(4, 0))
	for _, top := range [...]uint16{9999, 47110, 777} {
		p := top
		for range 1000 {
			if !has(p) && !slices.Contains(free, p) {
				break
			}
			p = uint16(1 + r.IntN(int(top)))
		}
		free = append(free, p)
	}
	return free
}

// eachRule gives all rules of all tables.
func (s *Subject) eachRule() iter.Seq[*rule.Rule] {
	return func(yield func(*rule.Rule) bool) {
		for _, t := range s.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

// ask makes a question of words; equal words are read once. Each caller gets a
// copy to change.
func (w *world) ask(format string, args ...any) *question.Question {
	words := fmt.Sprintf(format, args...)
	q := w.made[words]
	if q == nil {
		var err error
		if q, err = question.Parse(words, question.Options{Family: w.s.Family, Names: &netdb.DB{}}); err != nil {
			q = &question.Question{} // decides nothing, and gives no example
		}
		q.Packet.Host = w.s.host
		w.made[words] = q
	}
	c := *q
	return &c
}

// fresh is the first packet of a connection from a source to a port of the
// host, in by an interface.
func (w *world) fresh(proto string, src netip.Addr, port uint16, in string) *question.Question {
	q := w.ask("%s %v -> %v in %s", proto, netip.AddrPortFrom(w.sources[0], question.FreePort), netip.AddrPortFrom(w.own, 9), in)
	q.Packet.Src, q.Packet.Transport.Dst = src, port
	return q
}

// fate is what becomes of a question's packet, and by what.
func (w *world) fate(q *question.Question) (simulate.Verdict, simulate.Place) {
	if q.Packet.Family == 0 {
		return simulate.Unknown, simulate.Place{}
	}
	if q.Fixed != nil {
		r := w.s.Indexed().Walk(q.Packet, simulate.Options{Way: q.Way, Fixed: q.Fixed, NoTrace: true})
		return r.Verdict, r.By
	}
	return w.walker.Decide(&q.Packet, q.Way)
}

// refuses reports whether a packet is certainly dropped or rejected, and by what.
func (w *world) refuses(q *question.Question) (by simulate.Place, yes bool) {
	v, by := w.fate(q)
	return by, v == simulate.Drop || v == simulate.Reject
}

// lets reports whether a packet is let through, and by what: for certain, or if
// rates and reverse paths are as they are for a sender who takes care. What was
// assumed is then in q.Fixed.
func (w *world) lets(q *question.Question) (by simulate.Place, yes bool) {
	v, by := w.fate(q)
	if v != simulate.Unknown || q.Packet.Family == 0 {
		return by, v == simulate.Accept
	}
	r := w.s.Indexed().Walk(q.Packet, simulate.Options{Way: q.Way, NoTrace: true, Ends: true})
	if !slices.ContainsFunc(r.Ends, func(e simulate.End) bool { return e.Verdict == simulate.Accept }) {
		return by, false
	}
	return w.assume(q, r.Doubts)
}

// maxAssumed is how many matches are assumed to say yes or no.
const maxAssumed = 4

// assume looks for answers of the matches that are in doubt with which the
// packet is let through.
func (w *world) assume(q *question.Question, doubts []simulate.Doubt) (by simulate.Place, yes bool) {
	var names []string
	for i := range doubts {
		name := doubts[i].Match
		if !isPatience(&doubts[i]) {
			return by, false
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > maxAssumed {
		return by, false
	}
	for answers := range 1 << len(names) {
		fixed := map[string]packet.Answer{}
		for i, name := range names {
			fixed[name] = packet.Of(answers>>i&1 == 1)
		}
		if fixed["addrtype"] == packet.No { // the host's own address is a local one
			continue
		}
		r := w.s.Firewall().Walk(q.Packet, simulate.Options{Way: q.Way, Fixed: fixed})
		if r.Verdict == simulate.Accept && !asksOtherTypes(r.Trace) {
			q.Fixed = fixed
			return r.By, true
		}
	}
	return by, false
}

// isPatience reports whether a match in doubt is one that a sender who waits and
// does not lie about his address passes, or the question whether the host's
// own address is a local one.
func isPatience(d *simulate.Doubt) bool {
	switch d.Match {
	case "limit", "hashlimit", "connlimit", "recent", "statistic", "quota", "rpfilter", "tcpmss", "connbytes":
		return true
	case "addrtype":
		return d.What != nil && asksLocal(d.What)
	}
	return false
}

// localType is the bit of LOCAL among the types of match addrtype.
const localType = 1 << packet.AddressLocal

// asksLocal reports whether all that a rule asks of address types is whether the
// destination is local.
func asksLocal(r *rule.Rule) bool {
	for _, m := range r.Matches {
		if x, ok := m.(*ext.AddrType); ok && (x.Dst != localType || x.NotDst || x.Src != 0) {
			return false
		}
	}
	return true
}

// asksOtherTypes reports whether a rule that matched asks for another type than local.
func asksOtherTypes(trace []simulate.Step) bool {
	return slices.ContainsFunc(trace, func(s simulate.Step) bool { return s.What != nil && s.Action != "" && !asksLocal(s.What) })
}

// opened is a door that the world may come in by.
type opened struct {
	by simulate.Place
	q  *question.Question // one that gets in
}

// open reports whether a port of the host is open to the world: of all sources most
// get in, by an interface to the outside, or by each if it is not known which is.
func (w *world) open(proto string, port uint16) (door opened, yes bool) {
	for _, in := range w.outside {
		one, is := w.openBy(func(src netip.Addr) *question.Question { return w.fresh(proto, src, port, in) })
		switch {
		case is && !yes:
			door, yes = one, true
		case !is && !w.told:
			return door, false
		}
		if is && w.told {
			return door, true
		}
	}
	return door, yes
}

// openBy asks for packets from all sources; the door is the one that most get in by.
func (w *world) openBy(from func(netip.Addr) *question.Question) (door opened, yes bool) {
	in := 0
	for i, src := range w.sources {
		q := from(src)
		if by, lets := w.lets(q); lets {
			if in == 0 {
				door = opened{by, q}
			}
			in++
		}
		if i-in >= worldSize-worldOpen {
			return door, false
		}
	}
	return door, true
}

// closed reports whether a port of the host is certainly closed to the world:
// to each source, by each interface to the outside.
func (w *world) closed(proto string, port uint16) (door opened, yes bool) {
	for _, in := range w.outside {
		for _, src := range w.sources {
			q := w.fresh(proto, src, port, in)
			by, refused := w.refuses(q)
			if !refused {
				return door, false
			}
			if !yes {
				door, yes = opened{by, q}, true
			}
		}
	}
	return door, yes
}
