package report

import (
	"fmt"
	"strconv"
	"strings"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// ruleWords prints rules, and parts of them, as the save format has them.
type ruleWords struct {
	family rule.Family
	names  *netdb.DB
}

// spec is a rule without its "-A CHAIN".
func (w ruleWords) spec(r *rule.Rule) string {
	p := ext.Printer{Family: w.family, Names: w.names}
	text.AppendRule(&p, "C", r, text.NoCounters)
	return strings.TrimPrefix(strings.TrimSuffix(string(p.B), "\n"), "-A C")[min(1, len(p.B)-len("-A C\n")):]
}

// decided is what a place says: a rule, or "policy DROP".
func (w ruleWords) decided(at simulate.Place, r *rule.Rule, policy rule.Verdict) string {
	if at == (simulate.Place{}) {
		return undeliverable
	}
	if r == nil {
		return "policy " + policy.Name()
	}
	return w.spec(r)
}

// undeliverable is what decided about a packet that no rule and no policy dropped.
const undeliverable = "the kernel itself: it has no route or is not forwarded, its source does not fit, or it has no hops left"

// doubted is the part of a rule that a doubt is about: "-m limit --limit 3/min".
func (w ruleWords) doubted(d *simulate.Doubt) string {
	if d.What == nil {
		return ""
	}
	r := d.What
	part := rule.Rule{}
	switch d.Match {
	case "source":
		part.Src = r.Src
	case "destination":
		part.Dst = r.Dst
	case "in-interface":
		part.In = r.In
	case "out-interface":
		part.Out = r.Out
	case "fragment":
		part.Fragment = r.Fragment
	default:
		return w.extension(r, d.Match)
	}
	return w.spec(&part)
}

// extension is what a rule says of one of its matches, or of its target. It is
// printed with the protocol, which some extensions look at, and that is cut off.
func (w ruleWords) extension(r *rule.Rule, name string) string {
	part := rule.Rule{Proto: r.Proto}
	before := len(w.spec(&part))
	for _, m := range r.Matches {
		if m.Name() == name {
			part.Matches = append(part.Matches, m)
		}
	}
	if part.Matches == nil && r.Target != nil && r.Target.Name() == name {
		part.Target = r.Target
	}
	return strings.TrimPrefix(w.spec(&part)[before:], " ")
}

// placeName is "filter INPUT rule 5", or "filter INPUT policy".
func placeName(p simulate.Place) string {
	name := p.Table + " " + p.Chain
	if p.Rule == 0 {
		return name + " policy"
	}
	return name + " rule " + strconv.Itoa(p.Rule)
}

// routeDoubt is the Match of a Doubt about where a packet goes whose
// destination was changed.
const routeDoubt = "route"

// because is a doubt in one line: "limit: -m limit --limit 3/min (filter INPUT rule 5)".
func (w ruleWords) because(d *simulate.Doubt) string {
	line := d.Match
	if d.What == nil && d.Match == routeDoubt {
		return line + ": is the new destination another host?"
	}
	if part := w.doubted(d); part != "" {
		line += ": " + part
	}
	switch {
	case d.What != nil:
		line += " (" + placeName(d.Place) + ")"
	case d.Table != "":
		line += " (" + d.Table + " " + d.Chain + ")"
	}
	return line
}

// tells are the words of a question that decide a match or condition.
var tells = [...]struct{ match, words string }{
	{"in-interface", "in INTERFACE"}, {"out-interface", "out INTERFACE"},
	{"tcp", "a destination port, flags FLAGS or option NUMBER"}, {"udp", "a destination port"}, {"udplite", "a destination port"},
	{"multiport", "a destination port"}, {"dccp", "a destination port"}, {"sctp", "a destination port or chunks TYPE"},
	{"icmp", "type NAME"}, {"icmp6", "type NAME"}, {"mac", "mac ADDRESS"}, {"ttl", "ttl NUMBER"}, {"hl", "ttl NUMBER"},
	{"length", "len BYTES"}, {"tos", "tos NUMBER"}, {"dscp", "dscp NUMBER"}, {"ecn", "tos NUMBER"}, {"owner", "uid USER gid GROUP"},
	{"physdev", "physin PORT or physout PORT"}, {"tcpmss", "mss NUMBER"}, {"string", `payload "TEXT"`}, {"u32", `payload "TEXT"`},
	{"bpf", `payload "TEXT"`}, {"pkttype", "pkttype unicast"}, {"connmark", "connmark NUMBER"}, {"helper", "helper NAME"},
	{"realm", "realm NUMBER"}, {"cpu", "cpu NUMBER"}, {"cgroup", "cgroup PATH"}, {"esp", "spi NUMBER"}, {"ah", "spi NUMBER"},
	{"conntrack", "ctstatus STATUS, ctdir ORIGINAL, original A -> B or expire SECONDS"}, {"state", "state NEW"},
}

// tell is what one may write to a question so that a doubt is none; "" if
// nothing helps.
func tell(d *simulate.Doubt) string {
	for _, t := range tells {
		if t.match == d.Match {
			return t.words
		}
	}
	if d.What == nil {
		if d.Match == routeDoubt {
			return "out INTERFACE if it goes through"
		}
		return ""
	}
	for _, m := range d.What.Matches {
		if m.Name() == d.Match {
			return "with " + d.Match + "=yes"
		}
	}
	return ""
}

// ExplainWords lists the words of a question for help: each with its meaning
// beside it, or below if it is long.
func ExplainWords() string {
	var b strings.Builder
	for _, row := range question.Words() {
		head := strings.TrimSpace(row[0] + " " + row[1])
		if len(head) > 26 {
			b.WriteString("  " + head + "\n")
			head = ""
		}
		fmt.Fprintf(&b, "  %-26s  %s\n", head, row[2])
	}
	return b.String()
}
