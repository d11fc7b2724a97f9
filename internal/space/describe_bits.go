package space

import (
	"math/bits"
	"strings"
)

// The names of the TCP header's flags and of a connection's status bits, from
// the lowest bit on, as iptables writes them.
var (
	flagWords   = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}
	statusWords = [...]string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SNAT", "DNAT"}
)

// maskedBits is the values x with x & mask == comp.
type maskedBits struct{ mask, comp uint8 }

func (m maskedBits) has(x uint8) bool { return x&m.mask == m.comp }

// bitText writes values whose bits have names: "SYN" is the one value,
// "SYN of FIN,SYN,RST,ACK" all in which of the four bits only SYN is set, and
// "not" all others.
func (d *Describer) bitText(v Values, width int, names []string) string {
	b, ok := v.(*bitmap)
	if !ok {
		return ""
	}
	top := uint8(1<<width - 1)
	in := cover(b.has, top)
	out := cover(func(x uint8) bool { return !b.has(x) }, top)
	list, begin := in, ""
	if len(out) < len(in) {
		list, begin = out, "not "
	}
	var words []string
	for _, m := range list {
		switch {
		case m.mask == 0:
			return ""
		case m.mask == top:
			words = append(words, bitNames(m.comp, names))
		default:
			words = append(words, bitNames(m.comp, names)+" of "+bitNames(m.mask, names))
		}
	}
	if n, most := len(words), d.most(); n > most {
		return begin + joinMost(words, n, most)
	}
	return begin + strings.Join(words, " or ")
}

func bitNames(x uint8, names []string) string {
	var words []string
	for i, name := range names {
		if x&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	if words == nil {
		return "NONE"
	}
	return strings.Join(words, ",")
}

// cover gives masked comparisons that together are the values for which has
// answers yes: the widest that fits first, until none is left.
func cover(has func(uint8) bool, top uint8) (list []maskedBits) {
	var done [256]bool
	for x := range int(top) + 1 {
		if done[x] || !has(uint8(x)) {
			continue
		}
		m := widest(uint8(x), has, top)
		list = append(list, m)
		for y := range int(top) + 1 {
			done[y] = done[y] || m.has(uint8(y))
		}
	}
	return list
}

// widest is the comparison with the fewest bits that x meets and that only
// values meet for which has answers yes.
func widest(x uint8, has func(uint8) bool, top uint8) maskedBits {
	best := maskedBits{top, x}
	for mask := range int(top) + 1 {
		m := maskedBits{uint8(mask), x & uint8(mask)}
		if bits.OnesCount8(m.mask) >= bits.OnesCount8(best.mask) {
			continue
		}
		fits := true
		for y := 0; fits && y <= int(top); y++ {
			fits = !m.has(uint8(y)) || has(uint8(y))
		}
		if fits {
			best = m
		}
	}
	return best
}
