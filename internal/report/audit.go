package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"moat/internal/analyze"
)

// AuditOptions say how an audit's findings are printed.
type AuditOptions struct {
	Color bool
	// Silenced prints the findings that are silenced too, and by what.
	Silenced bool
}

// AuditText writes an audit's findings for people: under each chain its findings
// with why, an example and what mends it, then one line that counts them. No
// line is wider than 100 columns unless a single word is.
func AuditText(w io.Writer, r *analyze.Report, o AuditOptions) error {
	p := &auditPrinter{o: o}
	for _, warning := range r.Warnings {
		p.line("moat: " + warning)
	}
	head := ""
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Silenced != "" && !o.Silenced {
			continue
		}
		if h := p.heading(r, f); h != head {
			if p.Len() > 0 {
				p.line("")
			}
			p.line(p.paint(bold, h))
			head = h
		}
		p.finding(f)
	}
	if p.Len() > 0 {
		p.line("")
	}
	p.line(summary(r))
	_, err := w.Write(p.Bytes())
	return err
}

// auditPrinter collects the text, so that a broken pipe is one error.
type auditPrinter struct {
	bytes.Buffer
	o AuditOptions
}

// width is as many columns as a line has.
const width = 100

func (p *auditPrinter) line(s string) { p.WriteString(strings.TrimRight(s, " ") + "\n") }

// heading is the place that findings are grouped by.
func (p *auditPrinter) heading(r *analyze.Report, f *analyze.Finding) string {
	place := f.Place
	place.Rule = 0
	h := place.String()
	switch {
	case place.Chain != "":
		h = "table " + place.Table + ", chain " + place.Chain
	case place.Table != "":
		h = "table " + place.Table
	}
	if place.Family == 0 {
		return h
	}
	if len(r.Subjects) > 1 {
		h = place.Family.Name() + ", " + h
	}
	if place.File != "" && len(r.Subjects) > 1 {
		h += " (" + place.File + ")"
	}
	return h
}

// finding writes one finding: what and where, then why, example and fix, each
// behind its word.
func (p *auditPrinter) finding(f *analyze.Finding) {
	head := "  " + p.paint(colorOf(f.Severity), f.Severity.String()) + "  " + p.paint(bold, f.Name)
	if f.Place.Rule > 0 {
		head += "  rule " + strconv.Itoa(f.Place.Rule)
	}
	if at := f.Place.At(); at != "" {
		head += "  " + p.paint(dim, at)
	}
	p.line(head)
	if f.Place.Rule > 0 {
		p.block("", f.Place.Text, "  ", "")
	}
	p.block("", f.Says, "", "")
	if len(f.Proof) > 1 || len(f.Proof) == 1 && f.Proof[0] != f.Place {
		p.proof(f)
	}
	if e := f.Example; e != nil {
		p.block("example", e.Text, "  ", "")
		p.block("", exampleEnd(e), "  ", "")
	}
	if f.Fix != nil {
		p.fix(f.Fix)
	}
	if f.Silenced != "" {
		p.block("silenced", "by "+f.Silenced, "", "")
	}
}

// maxProof is how many rules of a proof people read; JSON has all of them.
const maxProof = 6

func (p *auditPrinter) proof(f *analyze.Finding) {
	word := "because"
	if f.Because != "" {
		p.block(word, f.Because+":", "", "")
		word = ""
	}
	for i, ref := range f.Proof {
		if i == maxProof {
			p.block("", fmt.Sprintf("and %d more", len(f.Proof)-maxProof), "", "")
			return
		}
		p.block(word, proofPlace(&ref, f)+"  "+ref.Text, "    ", "")
		word = ""
	}
}

// proofPlace names a rule of a proof, with its chain if that is another one.
func proofPlace(ref *analyze.Ref, f *analyze.Finding) string {
	switch {
	case ref.Table != f.Place.Table || ref.Chain != f.Place.Chain || ref.Family != f.Place.Family:
		return ref.String()
	case ref.Rule > 0:
		return "rule " + strconv.Itoa(ref.Rule)
	}
	if strings.HasPrefix(ref.Text, "-P") {
		return "the policy"
	}
	return "the chain"
}

// exampleEnd says what becomes of the example.
func exampleEnd(e *analyze.Example) string {
	s := e.Says
	if s != "" {
		s += ": "
	}
	s += e.Verdict.String()
	if by := e.By.String(); e.By.Table != "" {
		s += " by " + by
		if e.By.Rule == 0 {
			s += "'s policy"
		}
	}
	return s
}

// maxCommands is how many commands people copy by hand; JSON has all of them.
const maxCommands = 12

// fix writes the commands, so that they can be copied: a long one goes on in the
// next line behind a backslash.
func (p *auditPrinter) fix(f *analyze.Fix) {
	word := "mend"
	if f.Says != "" {
		p.block(word, f.Says+":", "", "")
		word = ""
	}
	for i, c := range f.Commands {
		if i == maxCommands {
			p.block(word, fmt.Sprintf("and %d more; --json has all", len(f.Commands)-maxCommands), "", "")
			return
		}
		p.block(word, c, "    ", " \\")
		word = ""
	}
}

// indent is where the text of a finding begins.
const indent = 12

// block writes text behind a word, broken at blanks; lines after the first
// begin with hang more, and lines before the last end in more.
func (p *auditPrinter) block(word, text, hang, more string) {
	first := "    " + p.paint(dim, word) + strings.Repeat(" ", indent-4-len(word))
	rest := strings.Repeat(" ", indent) + hang
	room := width - indent
	for {
		line, left := breakLine(text, room-len(more))
		if len(text) <= room {
			line, left = text, ""
		}
		if left == "" {
			p.line(first + line)
			return
		}
		p.line(first + line + more)
		first, text, room = rest, left, width-len(rest)
	}
}

// breakLine cuts text at the last blank that is not in a quoted string and
// leaves at most room bytes, or at the first one if there is none.
func breakLine(text string, room int) (line, left string) {
	at, quote := -1, byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"':
			quote = c
		case c == ' ' && (at < 0 || i <= room):
			at = i
		}
		if i > room && at >= 0 {
			break
		}
	}
	if at < 0 {
		return text, ""
	}
	return text[:at], text[at+1:]
}

// summary counts the findings in one line.
func summary(r *analyze.Report) string {
	rules, chains := 0, 0
	for _, s := range r.Subjects {
		for _, t := range s.Tables {
			chains += len(t.Chains)
			for _, c := range t.Chains {
				rules += len(c.Rules)
			}
		}
	}
	seen := fmt.Sprintf("%s in %s", count(rules, "rule"), count(chains, "chain"))
	var parts []string
	for s := analyze.Error; s >= analyze.Note; s-- {
		if n := r.Count(s); n > 0 {
			parts = append(parts, count(n, s.String()))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no findings"}
	}
	line := seen + ": " + strings.Join(parts, ", ")
	if n := r.Silenced(); n > 0 {
		line += fmt.Sprintf("; %d silenced", n)
	}
	return line
}

// count is "1 rule" or "2 rules".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// The colours, as SGR parameters (ECMA-48, 8.3.117).
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	yellow = "33"
	cyan   = "36"
)

func colorOf(s analyze.Severity) string {
	return [...]string{dim, cyan, yellow, red}[s%4]
}

func (p *auditPrinter) paint(color, s string) string {
	if !p.o.Color || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// AuditKinds lists the names of all findings, with severity and meaning.
func AuditKinds(w io.Writer) error {
	var p auditPrinter
	for _, k := range analyze.Findings() {
		p.line(fmt.Sprintf("%-20s %-8s %s", k.Name, k.Severity, k.What))
	}
	_, err := w.Write(p.Bytes())
	return err
}
