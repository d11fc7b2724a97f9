package space

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"moat/internal/packet"
	"moat/internal/rule"
)

// Describer writes boxes for people, nearly as they would write them:
//
//	tcp from 10.0.0.0/8 to any port 22-80 in eth0 state NEW
//
// The words are those of questions about packets. What is not said is any.
type Describer struct {
	Family rule.Family
	// Protocol gives the name of a protocol, "" where it has none; nil: numbers.
	Protocol func(number uint8) string
	// ICMP gives the name of a type with its codes from one to another, "" where
	// there is none; nil: numbers.
	ICMP func(typ, from, to uint8) string
	// Most is how many items a list has before "and 9 more" ends it; 0 is 6.
	Most int
}

// most is Most, or what it is by default.
func (d *Describer) most() int {
	if d.Most == 0 {
		return 6
	}
	return d.Most
}

// Everything is what Box writes for every packet.
const Everything = "everything"

// Box describes the packets of a box. An interface's absence, which the way of
// a packet says, is not mentioned.
func (d *Describer) Box(b *Box) string {
	var words []string
	add := func(word string, dim Dim) {
		if v := b.dims[dim]; v != nil {
			if text := d.Values(dim, v); text != "" {
				words = append(words, strings.TrimSpace(word+" "+text))
			}
		}
	}
	add("", Proto)
	words = append(words, d.endpoints(b)...)
	for _, w := range describedDims {
		add(w.word, w.dim)
	}
	if f := b.dims[Fragment]; f != nil {
		switch {
		case Has(f, Number{Lo: 1}):
			words = append(words, "frag")
		case b.dims[SPort] == nil && b.dims[DPort] == nil && b.dims[ICMP] == nil && b.dims[Flags] == nil:
			words = append(words, "not frag")
		}
	}
	if len(words) > 0 && b.dims[Proto] == nil || len(words) == 0 {
		words = slices.Insert(words, 0, Everything)
	}
	for i, l := range b.lits {
		words = append(words, [...]string{"when", "and"}[min(i, 1)], d.literalText(l))
	}
	return strings.Join(words, " ")
}

// describedDims are the dimensions that have a word of their own, in the order
// in which they are written.
var describedDims = [...]struct {
	dim  Dim
	word string
}{
	{ICMP, "type"}, {Flags, "flags"}, {In, "in"}, {Out, "out"}, {State, "state"}, {Status, "ctstatus"}, {Dir, "ctdir"},
	{Mark, "mark"}, {ConnMark, "connmark"}, {TTL, "ttl"}, {TOS, "tos"}, {Length, "len"}, {PktType, "pkttype"},
}

// endpoints is "from ADDRESS port PORT to ADDRESS port PORT", nothing if all are any.
func (d *Describer) endpoints(b *Box) (words []string) {
	if b.dims[Src] == nil && b.dims[Dst] == nil && b.dims[SPort] == nil && b.dims[DPort] == nil {
		return nil
	}
	for _, side := range [...]struct {
		word       string
		addr, port Dim
	}{{"from", Src, SPort}, {"to", Dst, DPort}} {
		text := "any"
		if v := b.dims[side.addr]; v != nil {
			text = d.Values(side.addr, v)
		}
		words = append(words, side.word, text)
		if v := b.dims[side.port]; v != nil {
			words = append(words, "port", d.Values(side.port, v))
		}
	}
	return words
}

// literalText says what a literal asks for. Of what tells matches of the same
// text apart only a number is kept, and none for the first.
func (d *Describer) literalText(l Literal) string {
	text, isMatch := strings.CutPrefix(strings.TrimSpace(l.Text), "-m ")
	if !isMatch {
		text = d.conditionText(text)
		if l.Not {
			return "not (" + text + ")"
		}
		return text
	}
	if at := strings.LastIndex(text, " #"); at >= 0 {
		digits := len(text[at+2:]) - len(strings.TrimLeft(text[at+2:], "0123456789"))
		number := text[at : at+2+digits]
		if digits > 0 {
			text = text[:at]
			if number != " #1" {
				text += number
			}
		}
	}
	if l.Not {
		return "(" + text + ") does not match"
	}
	return "(" + text + ") matches"
}

// conditionText writes a condition on a value that rules changed, which is
// "--DIMENSION NUMBERS after PLACE" as Key has the numbers, in the dimension's words.
func (d *Describer) conditionText(text string) string {
	option, rest, _ := strings.Cut(text, " ")
	numbers, after, _ := strings.Cut(rest, " after ")
	for dim := range NumDims {
		if option != "--"+dim.String() {
			continue
		}
		var list []interval
		for _, word := range strings.Fields(numbers) {
			lo, hi, isRange := strings.Cut(word, "-")
			if !isRange {
				hi = lo
			}
			from, ok := parseNumber(lo)
			to, ok2 := parseNumber(hi)
			if !ok || !ok2 {
				return text
			}
			if all := d.universe(dim); from.Less(all.lo) {
				from = all.lo
			}
			if !to.Less(from) {
				list = append(list, interval{from, to})
			}
		}
		if len(list) == 0 {
			return text
		}
		text = dim.String() + " " + d.listText(dim, list)
		if after != "" {
			text += " after " + after
		}
		return text
	}
	return text
}

// parseNumber reads what Number.String writes.
func parseNumber(s string) (n Number, ok bool) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) > 32 {
		return n, false
	}
	var err error
	if at := len(digits) - 16; at > 0 {
		if n.Hi, err = strconv.ParseUint(digits[:at], 16, 64); err != nil {
			return n, false
		}
		digits = digits[at:]
	}
	n.Lo, err = strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}

// Values describes values of one dimension: "22,80-90", "10.0.0.0/8 but
// 10.1.0.0/16", "any but eth0". "" is every value, or no interface.
func (d *Describer) Values(dim Dim, v Values) string {
	switch dim {
	case Flags:
		return d.bitText(v, 8, flagWords[:])
	case Status:
		return d.bitText(v, 6, statusWords[:])
	}
	if v == nil {
		return ""
	}
	all := d.universe(dim)
	var list []interval
	for lo, hi := range Runs(v) {
		if lo.Less(all.lo) {
			if hi.Less(all.lo) {
				continue
			}
			lo = all.lo
		}
		list = append(list, interval{lo, hi})
	}
	if len(list) == 0 || len(list) == 1 && list[0] == all {
		return ""
	}
	return d.listText(dim, list)
}

// universe is all values that a packet which has the dimension can have.
func (d *Describer) universe(dim Dim) interval {
	switch {
	case dim.isName(): // but no interface
		return interval{Number{Lo: 1}, Number{1<<56 - 1, 1<<64 - 1}}
	case dim.isAddr() && d.Family == rule.IPv6:
		return interval{hi: Number{1<<64 - 1, 1<<64 - 1}}
	case dim.isAddr():
		return interval{hi: Number{Lo: 1<<32 - 1}}
	}
	return interval{hi: Number{Lo: dims[dim].max}}
}

// one writes a single interval. cost is what reading it costs: 2 for a word, more
// for a range, most for names between two that no pattern has.
func (d *Describer) one(dim Dim, x interval) (text string, cost int) {
	switch {
	case dim.isName():
		return nameText(x)
	case dim.isAddr():
		return d.addrText(x)
	case dim == ICMP:
		return d.icmpText(x), 2
	}
	if x.lo == x.hi {
		return d.valueText(dim, x.lo), 2
	}
	if dim == State || dim == Proto || dim == PktType { // their order means nothing
		var words []string
		for n := x.lo; !x.hi.Less(n); n = n.next() {
			words = append(words, d.valueText(dim, n))
		}
		if size := len(words); size <= 4 {
			return strings.Join(words, ","), 2 * size
		}
	}
	return d.valueText(dim, x.lo) + "-" + d.valueText(dim, x.hi), 3
}

// valueText writes a value that is no address, name or ICMP type.
func (d *Describer) valueText(dim Dim, n Number) string {
	switch dim {
	case Proto:
		if d.Protocol != nil {
			if name := d.Protocol(uint8(n.Lo)); name != "" {
				return name
			}
		}
		return "protocol " + decimal(n)
	case State:
		return packet.State(n.Lo).String()
	case Dir:
		return [...]string{"ORIGINAL", "REPLY"}[n.Lo&1]
	case PktType:
		if n.Lo <= uint64(packet.ToOther) {
			return packet.PacketType(n.Lo).String()
		}
	case Mark, ConnMark, TOS:
		return n.String()
	}
	return decimal(n)
}

// addrText is an address, a prefix, or a range.
func (d *Describer) addrText(x interval) (text string, cost int) {
	lo := AddrOf(x.lo, d.Family)
	if x.lo == x.hi {
		return lo.String(), 2
	}
	if d.hull(Src, x) == x {
		return lo.String() + "/" + strconv.Itoa(commonBits(x, lo.BitLen())), 2
	}
	return lo.String() + "-" + AddrOf(x.hi, d.Family).String(), 4
}

// commonBits is how many of the lowest width bits both ends have in common,
// from the highest on.
func commonBits(x interval, width int) int {
	differ := Number{x.lo.Hi ^ x.hi.Hi, x.lo.Lo ^ x.hi.Lo}
	if differ.Hi != 0 {
		return width - 64 - bits.Len64(differ.Hi)
	}
	return width - bits.Len64(differ.Lo)
}

// nameText is a name, or a pattern that ends in "+".
func nameText(x interval) (text string, cost int) {
	lo, hi := NameOf(x.lo), NameOf(x.hi)
	if x.lo == x.hi {
		return lo, 2
	}
	if begin := withoutFill(hi); len(hi) == 15 && begin == lo {
		return begin + "+", 2
	}
	return strconv.Quote(lo) + " to " + strconv.Quote(hi), 16
}

// icmpText is types with their codes: "echo-request", "3/4", "3-5". Types of
// which only some codes are meant stand apart from whole ones.
func (d *Describer) icmpText(x interval) string {
	first, last := int(x.lo.Lo>>8), int(x.hi.Lo>>8)
	from, to := uint8(x.lo.Lo), uint8(x.hi.Lo)
	if first == last {
		return d.typeText(first, from, to)
	}
	var words, end []string
	if from != 0 {
		words = append(words, d.typeText(first, from, 255))
		first++
	}
	if to != 255 {
		end = append(end, d.typeText(last, 0, to))
		last--
	}
	switch {
	case first == last:
		words = append(words, d.typeText(first, 0, 255))
	case first < last:
		words = append(words, strconv.Itoa(first)+"-"+strconv.Itoa(last))
	}
	return strings.Join(append(words, end...), ",")
}

func (d *Describer) typeText(typ int, from, to uint8) string {
	if d.ICMP != nil {
		if name := d.ICMP(uint8(typ), from, to); name != "" {
			return name
		}
	}
	text := strconv.Itoa(typ)
	switch {
	case from == 0 && to == 255:
		return text
	case from == to:
		return text + "/" + strconv.Itoa(int(from))
	}
	return text + "/" + strconv.Itoa(int(from)) + "-" + strconv.Itoa(int(to))
}
