package question

import (
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
)

// states are the names of connection states.
var states = [...]packet.State{packet.New, packet.Established, packet.Related, packet.Invalid, packet.Untracked}

const stateNames = "NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED"

func (p *parser) readState(w token) error {
	v, err := p.value(w, stateNames)
	if err != nil {
		return err
	}
	if v.text == "any" {
		p.any = true
		return p.noAny(v)
	}
	for name := range strings.SplitSeq(v.text, ",") {
		i := slices.IndexFunc(states[:], func(s packet.State) bool { return strings.EqualFold(s.String(), name) })
		if i < 0 {
			return v.errorf("a state is %s, not %q", stateNames, name)
		}
		p.r.States = append(p.r.States, states[i])
	}
	return p.noList(v, len(p.r.States))
}

// statuses are the names of status bits, as --ctstatus and --ctstate have them.
var statuses = [...]struct {
	name string
	bit  uint32
}{
	{"EXPECTED", packet.StatusExpected}, {"SEEN_REPLY", packet.StatusSeenReply}, {"ASSURED", packet.StatusAssured},
	{"CONFIRMED", packet.StatusConfirmed}, {"SNAT", packet.StatusSNAT}, {"DNAT", packet.StatusDNAT},
}

func (p *parser) readStatus(w token) error {
	v, err := p.value(w, "a status")
	if err != nil {
		return err
	}
	p.packet.Known |= packet.KnowStatus
	if strings.EqualFold(v.text, "NONE") {
		return nil
	}
next:
	for name := range strings.SplitSeq(v.text, ",") {
		for _, s := range statuses {
			if strings.EqualFold(s.name, name) {
				p.packet.Connection.Status |= s.bit
				continue next
			}
		}
		return v.errorf("a status is EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED, SNAT or DNAT, or NONE alone, not %q", name)
	}
	return nil
}

func (p *parser) readDirection(w token) error {
	v, err := p.value(w, "ORIGINAL or REPLY")
	if err != nil {
		return err
	}
	reply := strings.EqualFold(v.text, "REPLY")
	if !reply && !strings.EqualFold(v.text, "ORIGINAL") {
		return v.errorf("a direction is ORIGINAL or REPLY")
	}
	p.packet.Connection.Reply = reply
	p.packet.Known |= packet.KnowDirection
	return nil
}

func (p *parser) readOriginal(w token) (err error) {
	p.packet.Connection.Original, err = p.tuple(w)
	p.packet.Known |= packet.KnowOriginal
	return err
}

func (p *parser) readReply(w token) (err error) {
	p.packet.Connection.ReplyTuple, err = p.tuple(w)
	p.packet.Known |= packet.KnowReplyTuple
	return err
}

// tuple reads SOURCE -> DESTINATION, with ports where the protocol has them.
func (p *parser) tuple(w token) (t packet.Tuple, err error) {
	src, err := p.value(w, "SOURCE -> DESTINATION")
	if err != nil {
		return t, err
	}
	if !p.isNext(Arrow, "→", "to") {
		return t, src.errorf("behind it come -> and the destination")
	}
	dst, err := p.value(w, "the destination")
	if err != nil {
		return t, err
	}
	from, sport, err := p.side(src)
	if err != nil {
		return t, err
	}
	to, dport, err := p.side(dst)
	if err != nil {
		return t, err
	}
	proto, _ := p.r.Proto.one()
	t = packet.Tuple{Src: from[0].From, Dst: to[0].From, Proto: uint8(proto)}
	a, told := sport.one()
	b, told2 := dport.one()
	if packet.HasPorts(t.Proto) && !(told && told2) {
		return t, src.errorf("both ends of a connection need a port here, as in 203.0.113.7:50000 -> 198.51.100.2:22")
	}
	t.SrcPort, t.DstPort = uint16(a), uint16(b)
	return t, nil
}

func (p *parser) readHelper(w token) error {
	v, err := p.value(w, "a helper's name")
	if err != nil {
		return err
	}
	if v.text == "" {
		return v.errorf("a helper has a name, as in ftp; write none for a connection without one")
	}
	if v.text != "none" {
		p.packet.Connection.Helper = v.text
	}
	p.packet.Known |= packet.KnowConnHelper
	return nil
}

func (p *parser) readExpire(w token) (err error) {
	p.packet.Connection.Expire, err = p.uint(w, 1<<32-1)
	p.packet.Known |= packet.KnowExpire
	return err
}

// readWith reads MATCH=yes or MATCH=no, or several with commas.
func (p *parser) readWith(w token) error {
	v, err := p.value(w, "MATCH=yes or MATCH=no")
	if err != nil {
		return err
	}
	for part := range strings.SplitSeq(v.text, ",") {
		name, answer, _ := strings.Cut(part, "=")
		name = strings.Trim(name, "'\"")
		if answer != "yes" && answer != "no" {
			return v.errorf("what a match says is written as in limit=yes or recent=no")
		}
		if err := p.checkMatch(v, name); err != nil {
			return err
		}
		if p.r.Fixed == nil {
			p.r.Fixed = map[string]packet.Answer{}
		}
		if a := packet.Of(answer == "yes"); p.r.Fixed[name] == a.Not() {
			return v.errorf("%s is said to be both yes and no", name)
		}
		p.r.Fixed[name] = packet.Of(answer == "yes")
	}
	return nil
}

// checkMatch reports a name that no match has.
func (p *parser) checkMatch(v token, name string) error {
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		if p.r.Family != 0 && p.r.Family != f {
			continue
		}
		if d := ext.Find(ext.Match, name, f); d != nil {
			return nil
		}
	}
	var names []string
	for _, d := range ext.All() {
		if d.Kind == ext.Match {
			names = append(names, d.Name)
		}
	}
	if near := Nearest(name, names); near != "" {
		return v.errorf("there is no match %q; is %q meant?", name, near)
	}
	return v.errorf("there is no match %q; it is named as behind -m, as in limit=yes", name)
}
