package question

import (
	"slices"
	"strings"
	"unicode/utf8"

	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// parser reads a question. What may be a range goes to r, also for one packet;
// what only one packet can have goes to packet.
type parser struct {
	options Options
	single  bool // one packet is asked for: no ranges, no "any"
	words   []token
	at      int
	end     token // stands for what is missing at the end

	r       Range
	any     bool             // "any" was said somewhere
	packet  packet.Packet    // values of words that only one packet can have
	payload []byte           // nil: not told
	seen    map[string]token // words of the table that were there
}

// parse reads a whole question and checks that its parts fit.
func parse(s string, o Options, single bool) (*parser, error) {
	if o.Names == nil {
		o.Names = &netdb.DB{}
	}
	words, err := split(s)
	if err != nil {
		return nil, err
	}
	end := token{column: 1 + utf8.RuneCountInString(strings.TrimRight(s, " \t\n"))}
	p := &parser{options: o, single: single, words: words, seen: map[string]token{}, end: end}
	if err := p.protocol(); err != nil {
		return nil, err
	}
	if err := p.addresses(); err != nil {
		return nil, err
	}
	for p.at < len(p.words) {
		if err := p.word(); err != nil {
			return nil, err
		}
	}
	return p, p.check()
}

// has reports whether a word of the table was there.
func (p *parser) has(name string) bool {
	_, has := p.seen[name]
	return has
}

// next takes the next word; false at the end.
func (p *parser) next() (token, bool) {
	if p.at >= len(p.words) {
		return p.end, false
	}
	p.at++
	return p.words[p.at-1], true
}

// isNext takes the next word if it is one of these.
func (p *parser) isNext(words ...string) bool {
	if p.at < len(p.words) && !p.words[p.at].quoted && slices.Contains(words, p.words[p.at].text) {
		p.at++
		return true
	}
	return false
}

// value takes what follows a word.
func (p *parser) value(w token, what string) (token, error) {
	v, ok := p.next()
	if !ok {
		return v, v.errorf("%s is missing behind %q", what, w.text)
	}
	return v, nil
}

// word reads one word of the table and what follows it.
func (p *parser) word() error {
	t, _ := p.next()
	w := findWord(t.text)
	if w == nil || t.quoted {
		return p.unknownWord(t)
	}
	if first, has := p.seen[w.name]; has && !w.repeat {
		return t.errorf("stands a second time, the first is in column %d", first.column)
	}
	if !p.single && !w.ranges {
		return t.errorf("fits a question about one packet only, not a set of packets")
	}
	if _, has := p.seen[w.name]; !has {
		p.seen[w.name] = t
	}
	return w.read(p, t)
}

func (p *parser) unknownWord(t token) error {
	names := wordNames()
	switch near := Nearest(t.text, names); {
	case t.isArrow():
		return t.errorf("stands between source and destination, once")
	case strings.HasPrefix(t.text, "-"):
		return t.errorf("no option of the command stands in a question; what is known is %s", strings.Join(names, " "))
	case near != "" && near != t.text:
		return t.errorf("not known; is %q meant?", near)
	}
	return t.errorf("not known; known are %s", strings.Join(names, " "))
}

// protocol reads the first word: a name or a number; in a range also a list or "any".
func (p *parser) protocol() error {
	t, ok := p.next()
	if !ok {
		return t.errorf("nothing is asked; a question begins with a protocol, as in: tcp 203.0.113.7 -> 198.51.100.2:22 in eth0")
	}
	if t.text == "any" || t.text == "all" {
		p.any = true
		return p.noAny(t)
	}
	for name := range strings.SplitSeq(t.text, ",") {
		n, err := p.protocolNumber(t, name)
		if err != nil {
			return err
		}
		p.r.Proto = append(p.r.Proto, Span{n, n})
	}
	return p.noList(t, len(p.r.Proto))
}

func (p *parser) protocolNumber(t token, name string) (uint32, error) {
	if n, ok := number(name, 255); ok {
		return n, nil
	}
	if n, ok := p.options.Names.Protocol(strings.ToLower(name)); ok && name != "" && !strings.EqualFold(name, "all") {
		return uint32(n), nil
	}
	if name == "gre" { // also without /etc/protocols
		return packet.ProtoGRE, nil
	}
	return 0, t.errorf("%q is no protocol (tcp, udp, icmp, icmpv6, another name of /etc/protocols, or a number from 0 to 255); "+
		"a question begins with one", name)
}

// noAny refuses "any" where one packet is asked for.
func (p *parser) noAny(t token) error {
	if p.single {
		return t.errorf("one packet is asked for, which has a value here; \"any\" is for moat check")
	}
	return nil
}

// noList refuses a list where one packet is asked for.
func (p *parser) noList(t token, n int) error {
	if p.single && n > 1 {
		return t.errorf("one packet is asked for, which has one value here; lists and ranges are for moat check")
	}
	return nil
}

// check looks at what only the whole question shows.
func (p *parser) check() error {
	for _, c := range [...]func() error{p.checkFamily, p.checkProtocol, p.checkWay, p.checkFragment, p.checkPairs} {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

// checkFamily: ICMP belongs to one family, by the name that was written.
func (p *parser) checkFamily() error {
	t := p.words[0]
	name := strings.ToLower(t.text)
	v6 := name == "icmpv6" || name == "ipv6-icmp"
	switch {
	case name == "icmp" && p.r.Family == rule.IPv6:
		return t.errorf("the addresses are of IPv6, which has icmpv6")
	case v6 && p.r.Family == rule.IPv4:
		return t.errorf("the addresses are of IPv4, which has icmp")
	case v6:
		p.r.Family = rule.IPv6
	case name == "icmp":
		p.r.Family = rule.IPv4
	}
	if want := p.options.Family; want != 0 && p.r.Family != 0 && want != p.r.Family {
		return t.errorf("the packet is one of %s, and %s was asked for", p.r.Family.Name(), want.Name())
	}
	if p.r.Family == 0 {
		p.r.Family = p.options.Family
	}
	return nil
}

// checkProtocol: some words speak of one protocol's header.
func (p *parser) checkProtocol() error {
	for i := range words {
		w := &words[i]
		t, has := p.seen[w.name]
		if !has || w.protocols == nil {
			continue
		}
		for _, span := range p.r.Proto {
			if !slices.Contains(w.protocols, uint8(span.From)) {
				return t.errorf("%s packets have none; the word is for %s", protocolName(uint8(span.From), p.r.Family), protocolList(w.protocols))
			}
		}
		if p.r.Proto == nil {
			return t.errorf("the word is for %s: write that in place of %q", protocolList(w.protocols), p.words[0].text)
		}
	}
	return nil
}

func protocolList(numbers []uint8) string {
	var names []string
	for _, n := range numbers {
		names = append(names, protocolName(n, 0))
	}
	return strings.Join(names, " and ")
}

// checkWay finds the way from "hook", the interfaces and loopback addresses.
func (p *parser) checkWay() error {
	r := &p.r
	in, hasIn := p.seen["in"]
	out, hasOut := p.seen["out"]
	switch {
	case p.has("hook") && r.Way == simulate.In && hasOut:
		return out.errorf("no packet in INPUT has an interface by which it leaves")
	case p.has("hook") && r.Way == simulate.Out && hasIn:
		return in.errorf("no packet in OUTPUT has an interface by which it came in")
	case p.has("hook"):
	case hasIn && hasOut:
		r.Way = simulate.Through
	case hasOut:
		r.Way = simulate.Out
	}
	r.WayTold = p.has("hook") || hasIn || hasOut
	if hasIn || hasOut || r.Way == simulate.Through || !p.loopback() {
		return nil
	}
	r.WayTold = true
	if r.Way == simulate.Out {
		r.Out = []string{"lo"}
	} else {
		r.In = []string{"lo"}
	}
	return nil
}

// loopback reports whether the packet goes between loopback addresses, which
// are on no interface but lo.
func (p *parser) loopback() bool {
	r := &p.r
	for _, list := range [][]Addrs{r.Src, r.Dst} {
		if len(list) != 1 || !list[0].From.IsLoopback() || !list[0].To.IsLoopback() {
			return false
		}
	}
	return true
}

// checkFragment: a second or further fragment begins in the middle of things.
func (p *parser) checkFragment() error {
	t, has := p.seen["frag"]
	switch {
	case !has || p.r.Fragment != packet.Yes:
		return nil
	case p.r.SrcPort != nil || p.r.DstPort != nil:
		return t.errorf("a second or further fragment has no ports: leave them out")
	}
	for i := range words {
		if w := &words[i]; w.transport && p.has(w.name) {
			return p.seen[w.name].errorf("a second or further fragment has no transport header")
		}
	}
	return nil
}

// checkPairs: some words exclude each other, some need each other.
func (p *parser) checkPairs() error {
	if t, has := p.seen["dscp"]; has && p.has("tos") {
		return t.errorf("is a part of \"tos\": write one of them")
	}
	if t, has := p.seen["uid"]; has && !p.has("gid") {
		return t.errorf("a socket has a group too: write \"gid\" beside it")
	}
	if t, has := p.seen["gid"]; has && !p.has("uid") {
		return t.errorf("a socket has a user too: write \"uid\" beside it")
	}
	return nil
}
