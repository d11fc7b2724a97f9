package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Check is a probe as a script of `moat lab` writes it:
//
//	tcp 22 [from client|blocked|loopback] [over 4|6] [expect STATE]
//	icmp …
//
// From says where it starts: the client's own address, its second one, or the
// server itself over lo. Without "expect", Expect is nil and no state is wrong.
type Check struct {
	Proto  string
	Port   uint16 // 0 for icmp
	From   string
	Family int // 4 or 6
	Expect *State
}

// openWait is how long a check waits that expects nothing: longer than the
// second after which a SYN is sent again.
const openWait = 1500 * time.Millisecond

// origins are the places a check may start from.
var origins = []string{"client", "blocked", "loopback"}

// ParseCheck reads the words of a check.
func ParseCheck(words []string) (Check, error) {
	c := Check{From: "client", Family: 4}
	if len(words) == 0 {
		return c, errors.New(`probe: want "tcp PORT", "udp PORT" or "icmp"`)
	}
	c.Proto, words = words[0], words[1:]
	switch c.Proto {
	case "icmp":
	case "tcp", "udp":
		if len(words) == 0 {
			return c, fmt.Errorf("probe %s: the port is missing", c.Proto)
		}
		port, err := parsePort(words[0])
		if err != nil {
			return c, err
		}
		c.Port, words = port, words[1:]
	default:
		return c, fmt.Errorf("probe %q: want tcp, udp or icmp", c.Proto)
	}
	if len(words)%2 != 0 {
		return c, fmt.Errorf("probe: %q stands alone: want from, over or expect with a value", words[len(words)-1])
	}
	for ; len(words) > 0; words = words[2:] {
		if err := c.set(words[0], words[1]); err != nil {
			return c, err
		}
	}
	return c, nil
}

// set reads one pair of words.
func (c *Check) set(key, value string) error {
	switch key {
	case "from":
		if !slices.Contains(origins, value) {
			return fmt.Errorf("probe from %q: want one of %v", value, origins)
		}
		c.From = value
	case "over":
		if value != "4" && value != "6" {
			return fmt.Errorf("probe over %q: want 4 or 6", value)
		}
		c.Family = int(value[0] - '0')
	case "expect":
		s, err := ParseState(value)
		if err != nil {
			return err
		}
		c.Expect = &s
	default:
		return fmt.Errorf("probe: %q: want from, over or expect", key)
	}
	return nil
}

// String gives "tcp 22 from client" and, for IPv6, " over IPv6".
func (c Check) String() string {
	s := c.Service() + " from " + c.From
	if c.Family == 6 {
		s += " over IPv6"
	}
	return s
}

// Service gives "tcp 22" or "icmp".
func (c Check) Service() string {
	if c.Proto == "icmp" {
		return "icmp"
	}
	return Service{c.Proto, c.Port}.String()
}

// route gives the host that the check starts on and the probe that it is.
func (c Check) route(n *Net) (*Host, Probe) {
	v6 := c.Family == 6
	pick := func(four, six string) string {
		if v6 {
			return six
		}
		return four
	}
	p := Probe{Proto: c.Proto, To: pick(ServerAddr, ServerAddr6)}
	from := n.Client
	switch c.From {
	case "blocked":
		p.Source = pick(BlockedAddr, BlockedAddr6)
	case "loopback":
		from, p.To = n.Server, pick("127.0.0.1", "::1")
	}
	if c.Proto != "icmp" {
		p.To = At(p.To, c.Port)
	}
	p.Wait = openWait
	if c.Expect != nil {
		p.Wait = 0
		p = p.waitingFor(*c.Expect)
	}
	return from, p
}

// Directives are what a script's comments ask of the lab: lines
// "# moat: listen tcp 22,80 udp 53" and "# moat: probe tcp 22 expect open".
type Directives struct {
	Listen []Service // nil: the lab's own choice
	Checks []Check   // made after the script
}

// ParseDirectives reads a script; name stands before the line number in
// errors.
func ParseDirectives(name string, script io.Reader) (Directives, error) {
	var d Directives
	scan := bufio.NewScanner(script)
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		rest, ok := strings.CutPrefix(strings.TrimSpace(scan.Text()), "# moat:")
		if !ok {
			continue
		}
		if err := d.add(strings.Fields(rest)); err != nil {
			return d, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := scan.Err(); err != nil {
		return d, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

func (d *Directives) add(words []string) error {
	if len(words) == 0 {
		return errors.New("empty directive: want listen or probe")
	}
	switch words[0] {
	case "listen":
		list, err := ParseServices(strings.Join(words[1:], " "))
		if err != nil {
			return err
		}
		d.Listen = append(d.Listen, list...)
	case "probe":
		c, err := ParseCheck(words[1:])
		if err != nil {
			return err
		}
		d.Checks = append(d.Checks, c)
	default:
		return fmt.Errorf("directive %q: want listen or probe", words[0])
	}
	return nil
}
