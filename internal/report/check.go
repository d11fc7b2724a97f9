package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"moat/internal/analyze"
	"moat/internal/simulate"
)

// CheckOptions say how the results of tests are printed.
type CheckOptions struct {
	// Verbose prints the tests that pass too.
	Verbose bool
}

// CheckText writes the results of a file of tests as go test does: what failed
// with a packet that shows it, then one line for the file.
func CheckText(w io.Writer, source string, results []analyze.TestResult, o CheckOptions) error {
	var b bytes.Buffer
	for i := range results {
		r := &results[i]
		if r.Outcome == analyze.TestPassed && !o.Verbose {
			continue
		}
		word := "FAIL"
		if r.Outcome == analyze.TestPassed {
			word = "PASS"
		}
		fmt.Fprintf(&b, "--- %s: %s (%s)\n", word, r.Name, seconds(r.Elapsed))
		b.WriteString(checkDetails(source, r, o.Verbose, "    "))
	}
	b.WriteString(checkSummary(source, results))
	_, err := w.Write(b.Bytes())
	return err
}

// seconds is a time as go test prints it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }

// checkSummary is the last line.
func checkSummary(source string, results []analyze.TestResult) string {
	var failed, unknown int
	var all time.Duration
	for i := range results {
		all += results[i].Elapsed
		switch results[i].Outcome {
		case analyze.TestFailed:
			failed++
		case analyze.TestUnknown:
			unknown++
		}
	}
	word := "ok  "
	if failed+unknown > 0 {
		word = "FAIL"
	}
	line := fmt.Sprintf("%s\t%s\t%.3fs\t%s", word, source, all.Seconds(), counted(len(results), "test"))
	if failed > 0 {
		line += fmt.Sprintf(", %d failed", failed)
	}
	if unknown > 0 {
		line += fmt.Sprintf(", %d unknown", unknown)
	}
	return line + "\n"
}

// counted is "1 test", "2 tests".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checkDetails says of each of a test's packets what came of it; those that are
// as expected only if all is asked for.
func checkDetails(source string, r *analyze.TestResult, all bool, indent string) string {
	var b strings.Builder
	for i := range r.Packets {
		p := &r.Packets[i]
		if p.Outcome == analyze.TestPassed && !all {
			continue
		}
		fmt.Fprintf(&b, "%s%s:%d: %s%s\n", indent, source, p.Line, oneLine(p.Text), checkFamily(r, p))
		in := indent + "    "
		if p.Outcome == analyze.TestPassed {
			fmt.Fprintf(&b, "%s%s\n", in, checkPassed(r, p))
			continue
		}
		for j := range p.Against {
			checkAgainst(&b, r, p, &p.Against[j], in)
		}
		if p.More > 0 {
			fmt.Fprintf(&b, "%s%s more %s otherwise than expected\n", in, counted(p.More, "rule"), decide(p.More))
		}
	}
	return b.String()
}

func decide(n int) string {
	if n == 1 {
		return "decides"
	}
	return "decide"
}

// oneLine is text that may have been written over several lines.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// checkFamily tells the family of packets that are asked of both.
func checkFamily(r *analyze.TestResult, p *analyze.PacketsResult) string {
	for i := range r.Packets {
		if other := &r.Packets[i]; other.TestPackets == p.TestPackets && other.Subject != p.Subject {
			return " (" + p.Subject.Family.Name() + ")"
		}
	}
	return ""
}

func checkPassed(r *analyze.TestResult, p *analyze.PacketsResult) string {
	if p.Classes > 0 {
		return "proved for all: " + r.Expected()
	}
	return "as expected: " + r.Expected()
}

// checkAgainst writes one packet that is not as expected.
func checkAgainst(b *strings.Builder, r *analyze.TestResult, p *analyze.PacketsResult, e *analyze.Counterexample, in string) {
	if p.Classes > 0 {
		fmt.Fprintf(b, "%sexpected for all: %s; not so for\n", in, r.Expected())
	} else {
		fmt.Fprintf(b, "%sexpected: %s; not so for\n", in, r.Expected())
	}
	fmt.Fprintf(b, "%s    %s\n", in, e.Packet)
	switch {
	case e.By != analyze.Ref{}:
		fmt.Fprintf(b, "%s%s by %s\n", in, e.Verdict, placeOf(e.By))
		if e.By.Text != "" { // a table that the rules do not have has no text
			fmt.Fprintf(b, "%s    %s\n", in, e.By.Text)
		}
	case len(e.Doubts) > 0:
		fmt.Fprintf(b, "%s%s, since no packet alone decides\n", in, e.Verdict)
	case e.Verdict == simulate.Drop:
		fmt.Fprintf(b, "%s%s by no rule: it has no way to go, or no hops left\n", in, e.Verdict)
	default:
		fmt.Fprintf(b, "%s%s\n", in, e.Verdict)
	}
	for i := range e.Doubts {
		checkDoubt(b, &e.Doubts[i], in)
	}
	if e.Missing {
		hint := ""
		if e.Nearest != "" {
			hint = fmt.Sprintf("; is %q meant?", e.Nearest)
		}
		fmt.Fprintf(b, "%sno rule has the comment %q%s\n", in, r.DecidedBy, hint)
	}
}

// checkDoubt writes a match on which it hangs what becomes of a packet.
func checkDoubt(b *strings.Builder, d *analyze.CheckDoubt, in string) {
	at := ""
	if d.Rule != (analyze.Ref{}) {
		at = " in " + placeOf(d.Rule)
	}
	fmt.Fprintf(b, "%s    %s%s: %s if yes, %s if no\n", in, d.Match, at, d.IfYes, d.IfNo)
	if d.Rule.Text != "" {
		fmt.Fprintf(b, "%s        %s\n", in, d.Rule.Text)
	}
}

// placeOf is a rule's or policy's place, with the line of its file.
func placeOf(r analyze.Ref) string {
	s := r.String()
	if r.Rule == 0 && r.Chain != "" {
		s += " policy"
	}
	if at := r.At(); at != "" && r.Line > 0 {
		s += " (" + at + ")"
	}
	return s
}
