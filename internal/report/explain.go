package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// ExplainOptions say how an answer is printed.
type ExplainOptions struct {
	Color bool
	// All shows the rules that did not match, too.
	All bool
}

// ExplainText writes for people what becomes of a packet: the verdict and what
// decided it, with UNKNOWN what that hangs on, then the way through the tables.
// No line is wider than 100 columns unless a single word is.
func ExplainText(w io.Writer, q *question.Question, r *simulate.Result, o ExplainOptions) error {
	p := &explainPrinter{ruleWords: ruleWords{family: q.Packet.Family}, o: o}
	p.verdict(q, r)
	if r.Verdict == simulate.Unknown {
		p.doubts(r)
	}
	p.way(r)
	_, err := w.Write(p.Bytes())
	return err
}

// explainPrinter collects the text, so that a broken pipe is one error.
type explainPrinter struct {
	bytes.Buffer
	ruleWords
	o ExplainOptions
}

// paint colours s; color "" leaves it as it is.
func (p *explainPrinter) paint(color, s string) string {
	if !p.o.Color || s == "" || color == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// wrapped writes text behind head, which takes so many columns; what does not
// fit goes on in further lines that begin at column hang.
func (p *explainPrinter) wrapped(head string, columns, hang int, text, color string) {
	for {
		line, left := text, ""
		if len(text) > width-columns {
			line, left = breakRule(text, width-columns)
		}
		p.WriteString(strings.TrimRight(head+p.paint(color, line), " ") + "\n")
		if left == "" {
			return
		}
		head, columns, text = strings.Repeat(" ", hang), hang, left
	}
}

// breakRule cuts text, which is longer than room, before the last option that
// begins within room, so that options stay with their values; if that leaves
// half of the line empty, at the last blank. A quoted string stays whole.
func breakRule(text string, room int) (line, left string) {
	at, option, quoted := -1, -1, false
	for i := 0; i < len(text) && (i <= room || at < 0); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted && !strings.HasSuffix(text[:i], " !"):
			at = i
			if rest := text[i+1:]; strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "! -") {
				option = i
			}
		}
	}
	if option >= room/2 {
		at = option
	}
	if at < 0 {
		return text, ""
	}
	return text[:at], text[at+1:]
}

// verdictColors are those of the verdicts, by number.
var verdictColors = [...]string{yellow, green, red, red, cyan}

const green = "32"

// verdict writes the verdict beside the packet, and what decided below.
func (p *explainPrinter) verdict(q *question.Question, r *simulate.Result) {
	word := r.Verdict.String()
	columns := len(word) + 2
	p.wrapped(p.paint(bold+";"+verdictColors[r.Verdict%5], word)+"  ", columns, columns, q.String(), "")
	indent := strings.Repeat(" ", columns)
	if r.Verdict == simulate.Unknown {
		p.wrapped(indent, columns, columns, endWords(r)+", which the packet alone does not decide", "")
		return
	}
	p.by(indent, "by ", r.By, r.What, r.Policy)
	p.leaves(indent, q, r)
	for i := range r.Ends {
		if e := &r.Ends[i]; e.Verdict == r.Verdict && e.By != r.By {
			p.by(indent, "or by ", e.By, e.What, e.Policy)
		}
	}
}

// leaves names the interface of a packet that rules send elsewhere than the
// question says.
func (p *explainPrinter) leaves(indent string, q *question.Question, r *simulate.Result) {
	if out := r.Packet.Out; r.Verdict == simulate.Accept && len(r.Ends) < 2 && out != "" && out != q.Packet.Out {
		p.wrapped(indent, len(indent), len(indent)+4, "it leaves by "+out, "")
	}
}

// endWords names the verdicts that are possible: "DROP or ACCEPT".
func endWords(r *simulate.Result) string {
	var words []string
	for i := range r.Ends {
		if v := r.Ends[i].Verdict; v != simulate.Unknown && !slices.Contains(words, v.String()) {
			words = append(words, v.String())
		}
	}
	if len(words) < 2 {
		return "one of several ends"
	}
	return strings.Join(words, " or ")
}

// by writes what decided.
func (p *explainPrinter) by(indent, by string, at simulate.Place, r *rule.Rule, policy rule.Verdict) {
	line := fmt.Sprintf("%srule %d of %s, table %s: ", by, at.Rule, at.Chain, at.Table)
	if at == (simulate.Place{}) {
		line = by + undeliverable
	} else if r == nil {
		line = fmt.Sprintf("%sthe policy %s of %s, table %s", by, policy.Name(), at.Chain, at.Table)
	} else {
		line += p.spec(r)
	}
	p.wrapped(indent, len(indent), len(indent)+4, line, "")
}

// doubts writes each match that is unknown, what follows if it matches and if
// not, and how to say so; then all ends that are possible.
func (p *explainPrinter) doubts(r *simulate.Result) {
	p.WriteString("\nIt hangs on\n")
	for i := range r.Doubts {
		d := &r.Doubts[i]
		p.wrapped("  ", 2, 6, p.because(d), yellow)
		yes := "if it matches"
		if d.What == nil {
			yes = "if it is"
		}
		p.outcome(yes, d.IfYes)
		p.outcome("if not", d.IfNo)
		if words := tell(d); words != "" {
			p.wrapped("      ", 6, 10, "to tell it, add: "+words, dim)
		}
	}
	if len(r.Ends) == 0 {
		return
	}
	p.WriteString("\nIt may end as\n")
	for i := range r.Ends {
		e := &r.Ends[i]
		word := e.Verdict.String()
		if e.Verdict == simulate.Unknown {
			p.WriteString("  or in ways too many to follow\n")
			continue
		}
		head := "  " + p.paint(verdictColors[e.Verdict%5], word) + strings.Repeat(" ", 8-len(word))
		place := placeName(e.By)
		if e.What != nil {
			place += ": " + p.spec(e.What)
		}
		p.wrapped(head, 2+8, 2+8+4, place, "")
	}
}

// outcome writes one of the two ways at a doubt.
func (p *explainPrinter) outcome(when string, v simulate.Verdict) {
	word := p.paint(verdictColors[v%5], v.String())
	if v == simulate.Unknown {
		word = "it hangs on more"
	}
	p.WriteString("      " + when + strings.Repeat(" ", 15-len(when)) + word + "\n")
}

// way writes the rules and policies that the packet met, in their order.
func (p *explainPrinter) way(r *simulate.Result) {
	steps := p.shown(r.Trace)
	if len(steps) == 0 {
		p.WriteString("\nNo rules stand in its way.\n")
		return
	}
	c := columnsOf(steps)
	p.WriteString("\n" + wayTitle(steps) + "\n")
	for i := range steps {
		s := &steps[i]
		place := s.Table + " " + s.Chain
		if i > 0 && steps[i-1].Table == s.Table && steps[i-1].Chain == s.Chain {
			place = ""
		}
		p.step(s, place, c)
	}
}

// wayTitle says what is shown where the way is not certain.
func wayTitle(steps []simulate.Step) string {
	if slices.ContainsFunc(steps, func(s simulate.Step) bool { return s.Match == packet.Unknown }) {
		return "The way, as it is if what is unknown does not match"
	}
	return "The way"
}

// shown are the steps that are printed.
func (p *explainPrinter) shown(trace []simulate.Step) (steps []simulate.Step) {
	for _, s := range trace {
		if s.Match != packet.No || p.o.All {
			steps = append(steps, s)
		}
	}
	return steps
}

// stepColumns are the widths of what stands before a rule.
type stepColumns struct{ place, number, answer int }

// columnsOf computes the widths; answers are only shown where they differ.
func columnsOf(steps []simulate.Step) (c stepColumns) {
	for i := range steps {
		s := &steps[i]
		c.place = max(c.place, len(s.Table)+1+len(s.Chain))
		c.number = max(c.number, len(strconv.Itoa(s.Rule)))
		if s.Match != packet.Yes {
			c.answer = max(c.answer, len(s.Match.String())+2, len("yes")+2)
		}
	}
	return c
}

// step writes one rule or policy, and below what it changed.
func (p *explainPrinter) step(s *simulate.Step, place string, c stepColumns) {
	number, answer, color := strconv.Itoa(s.Rule), s.Match.String(), ""
	switch {
	case s.What == nil:
		number, answer, color = "", "", dim
	case s.Match == packet.No:
		color = dim
	case s.Match == packet.Unknown:
		color = yellow
	}
	if c.answer == 0 {
		answer = ""
	}
	head := fmt.Sprintf("  %-*s  %*s  %-*s", c.place, place, c.number, number, c.answer, answer)
	said := p.policyOrSpec(s)
	p.wrapped(head, len(head), len(head)+4, said, color)
	if s.After == nil {
		return
	}
	if _, changes, has := strings.Cut(s.Action, " "); has {
		indent := strings.Repeat(" ", len(head))
		p.wrapped(indent+p.paint(cyan, "now")+" ", len(head)+4, len(head)+4, changes, cyan)
	}
}

// policyOrSpec is what stands in the rules at a step. A policy is named by what
// it did.
func (p *explainPrinter) policyOrSpec(s *simulate.Step) string {
	if s.What == nil {
		return "policy " + s.Action
	}
	spec := p.spec(s.What)
	if spec == "" {
		return "(every packet, counted)"
	}
	return spec
}
