package report

import (
	"fmt"
	"io"
	"strings"

	"moat/internal/analyze"
	"moat/internal/simulate"
)

// DiffOptions say how a comparison is printed.
type DiffOptions struct {
	Color bool
	// Lines prints what differs in the rules' text too.
	Lines bool
}

// DiffText writes a comparison for people: for each change the two fates, the
// packets and an example, then one line that says what it comes to.
func DiffText(w io.Writer, d *analyze.Diff, o DiffOptions) error {
	p := &diffPrinter{auditPrinter{o: AuditOptions{Color: o.Color}}, d}
	routed := 0
	for i := range d.Changes {
		if c := &d.Changes[i]; !c.Routed() || i == 0 {
			p.change(c)
		} else {
			routed++
		}
	}
	if routed > 0 {
		p.line(count(routed, "change") + " more, which only the host's routes and addresses decide; --json has them")
		p.line("")
	}
	p.line(p.summary())
	if o.Lines {
		p.lines(analyze.LineDiff(d.Old.Ruleset, d.New.Ruleset))
	}
	_, err := w.Write(p.Bytes())
	return err
}

type diffPrinter struct {
	auditPrinter
	d *analyze.Diff
}

// change writes one change.
func (p *diffPrinter) change(c *analyze.Change) {
	kind, color := changeKind(c), yellow
	switch {
	case c.Opens():
		color = red
	case c.Closes():
		color = cyan
	}
	p.line(p.paint(color, kind) + "  " + p.paint(bold, wayWords(c.Way)) + "  " + c.Old.String() + " -> " + c.New.String())
	word := "packets"
	for i := range c.Parts {
		p.block(word, analyze.Describe(&c.Parts[i], p.d.Old.Family), "  ", "")
		word = ""
	}
	if c.More > 0 {
		p.block("", "and "+count(c.More, "set")+" of packets more", "", "")
	}
	if e := c.Example; e != nil {
		p.block("example", e.Text, "  ", "")
		if e.Possible {
			p.block("", "which may meet either fate, before and after: a match decides that no packet does", "  ", "")
		} else {
			p.block("before", fateWords(c.Old.Verdict, e.Old), "  ", "")
			p.block("after", fateWords(c.New.Verdict, e.New), "  ", "")
		}
	}
	p.line("")
}

// changeKind is "opened", "closed" or "changed".
func changeKind(c *analyze.Change) string {
	switch {
	case c.Opens():
		return "opened"
	case c.Closes():
		return "closed"
	}
	return "changed"
}

// wayWords says where packets of a way go.
func wayWords(w simulate.Way) string {
	return [...]string{"to this host", "through this host", "from this host"}[w%3]
}

// fateWords says what becomes of an example and by which rule.
func fateWords(v simulate.Verdict, by analyze.Ref) string {
	switch {
	case by.Table == "":
		return v.String()
	case by.Rule == 0:
		return v.String() + " by the policy of " + by.Chain
	}
	return v.String() + " by " + by.String() + ": " + by.Text
}

func (p *diffPrinter) summary() string {
	names := p.d.Old.Family.Name() + ", " + p.d.Old.Source + " and " + p.d.New.Source
	if len(p.d.Changes) == 0 {
		return "same behaviour (" + names + "): proved for all packets to, through and from this host"
	}
	opened, closed, doubtful := 0, 0, 0
	for i := range p.d.Changes {
		switch c := &p.d.Changes[i]; {
		case c.Opens():
			opened++
		case c.Closes():
			closed++
		}
		if p.d.Changes[i].Doubtful {
			doubtful++
		}
	}
	line := fmt.Sprintf("%s (%s): %d opened, %d closed", count(len(p.d.Changes), "change"), names, opened, closed)
	if doubtful > 0 {
		line += fmt.Sprintf("; %d only where a match says so that no packet decides", doubtful)
	}
	return line
}

// lines writes the lines that only one ruleset has, under their chain.
func (p *diffPrinter) lines(list []analyze.LineChange) {
	p.line("")
	if len(list) == 0 {
		p.line("no line differs")
	}
	under := ""
	for _, l := range list {
		if l.Under != under {
			p.line(p.paint(dim, "@@ "+l.Under+" @@"))
			under = l.Under
		}
		sign, color := "-", cyan
		if l.Added {
			sign, color = "+", red
		}
		p.WriteString(p.paint(color, sign+strings.TrimRight(l.Line, " ")) + "\n")
	}
}
