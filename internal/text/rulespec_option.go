package text

import (
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
)

// takeCondition takes one of iptables' own options that make a rule.
func (p *parser) takeCondition(letter byte, value string, not bool) error {
	switch letter {
	case 'j', 'g':
		return p.takeTarget(value, letter == 'j', not)
	}
	if err := p.once(letter, not); err != nil {
		return err
	}
	switch letter {
	case 's':
		p.src = addressList{text: value, not: not, at: p.at}
	case 'd':
		p.dst = addressList{text: value, not: not, at: p.at}
	case 'p':
		return p.takeProtocol(value, not)
	case 'i':
		return p.takeInterface(&p.rule.In, value, not)
	case 'o':
		return p.takeInterface(&p.rule.Out, value, not)
	case 'c':
		return p.takeCounters(value)
	case 'f':
		if p.family == rule.IPv6 {
			return p.fail("`-f' is not supported in IPv6, use -m frag instead")
		}
		p.rule.Fragment = rule.OnlyFragments
		if not {
			p.rule.Fragment = rule.NotAFragment
		}
	}
	return nil
}

// takeProtocol takes -p: a number to 255, or a name in any case.
func (p *parser) takeProtocol(value string, not bool) error {
	number, ok := p.protocol(value)
	if !ok {
		return p.fail("unknown protocol \"%s\" specified", value)
	}
	if number == 0 && not {
		return p.fail("rule would never match protocol")
	}
	p.rule.Proto = rule.Protocol{Number: uint16(number), Not: not && number != 0}
	if p.family == rule.IPv6 && !not && isExtensionHeader(number) {
		p.warnings = append(p.warnings, "Warning: never matched protocol: "+value+". use extension match instead.")
	}
	return nil
}

func (p *parser) protocol(value string) (number uint8, ok bool) {
	if value == "" {
		return 0, false
	}
	if value[0] <= '9' { // no name begins so: a digit, a blank or a sign
		n, ok := ext.ParseUint(value)
		return uint8(n), ok && n <= 255
	}
	return p.names.Protocol(strings.ToLower(value))
}

// isExtensionHeader reports whether the number is that of an IPv6 header that
// -p skips on its way to the transport header: RFC 8200 section 4 with RFC
// 4302. ESP is not skipped, since what follows it cannot be read.
func isExtensionHeader(number uint8) bool {
	switch number {
	case 43, 44, 51, 60: // routing, fragment, AH, destination options
		return true
	}
	return false
}

// maxInterface is the longest name of an interface in bytes: IFNAMSIZ less its zero.
const maxInterface = 15

// takeInterface takes -i or -o.
func (p *parser) takeInterface(to *rule.Interface, name string, not bool) error {
	switch {
	case name == "":
		return p.fail("Empty interface is likely to be undesired")
	case len(name) > maxInterface:
		return p.fail("interface name `%s' must be shorter than IFNAMSIZ (%d)", name, maxInterface)
	case strings.ContainsAny(name, "/ "):
		p.warnings = append(p.warnings,
			"Warning: weird character in interface `"+name+"' ('/' and ' ' are not allowed by the kernel).")
	}
	*to = rule.Interface{Name: name, Not: not}
	return nil
}

// takeCounters takes -c: "5,60", or "5 60" as two words.
func (p *parser) takeCounters(packets string) error {
	packets, bytes, ok := strings.Cut(packets, ",")
	if !ok {
		if bytes, ok = p.plainWord(); !ok {
			return p.fail("-c requires packet and byte counter")
		}
	}
	return p.setCounters(packets, bytes)
}

// setCounters gives the rule its counters, decimal numbers.
func (p *parser) setCounters(packets, bytes string) error {
	if packets == "" {
		return p.fail("-c requires packet and byte counter")
	}
	if !beginsNumber(packets) {
		return p.fail("-c packet counter not numeric")
	}
	if !beginsNumber(bytes) {
		return p.fail("-c byte counter not numeric")
	}
	p.rule.Counters = rule.Counters{Packets: leadingNumber(packets), Bytes: leadingNumber(bytes)}
	return nil
}
