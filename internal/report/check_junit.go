package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"moat/internal/analyze"
)

// CheckJUnit writes the results of a file of tests as CI systems read them. A
// test that hangs on what no packet decides is a failure of type "unknown".
//
// JUnit's XML has no standard; this is the part that Jenkins, GitLab, GitHub's
// actions and Azure read alike. It is written by hand, since encoding/xml fills
// tables at start-up, of the drop-in programs too.
func CheckJUnit(w io.Writer, source string, results []analyze.TestResult) error {
	failures := 0
	var all time.Duration
	for i := range results {
		all += results[i].Elapsed
		if results[i].Outcome != analyze.TestPassed {
			failures++
		}
	}
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	fmt.Fprintf(&b, "<testsuites tests=\"%d\" failures=\"%d\" errors=\"0\" time=\"%s\">\n", len(results), failures, junitTime(all))
	fmt.Fprintf(&b, "  <testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"0\" time=\"%s\">\n",
		xmlEscape(source), len(results), failures, junitTime(all))
	for i := range results {
		junitCase(&b, source, &results[i])
	}
	b.WriteString("  </testsuite>\n</testsuites>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// junitCase adds one test.
func junitCase(b *strings.Builder, source string, r *analyze.TestResult) {
	file := xmlEscape(source)
	fmt.Fprintf(b, "    <testcase name=\"%s\" classname=\"%s\" file=\"%s\" line=\"%d\" time=\"%s\">", xmlEscape(r.Name), file, file, r.Line, junitTime(r.Elapsed))
	if r.Outcome != analyze.TestPassed {
		fmt.Fprintf(b, "\n      <failure message=\"%s\" type=\"%s\">%s</failure>\n    ",
			xmlEscape(junitMessage(r)), r.Outcome, xmlCDATA("\n"+checkDetails(source, r, false, "")))
	}
	b.WriteString("</testcase>\n")
}

// xmlEscape writes text for an attribute in double quotes, or between tags. Ends
// of lines and tabs are written as numbers: in an attribute they would be read
// as blanks (XML 1.0 section 3.3.3).
func xmlEscape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\"", "&#34;", "\t", "&#x9;", "\n", "&#xA;").Replace(xmlText(s))
}

// xmlCDATA writes text as it is, in sections that none of it ends.
func xmlCDATA(s string) string {
	return "<![CDATA[" + strings.ReplaceAll(xmlText(s), "]]>", "]]]]><![CDATA[>") + "]]>"
}

// xmlText is text with U+FFFD for the characters that XML cannot have (XML 1.0
// section 2.2), bytes that are no UTF-8, and carriage returns, which no reader
// would keep.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r >= ' ' && r <= 0xd7ff, r >= 0xe000 && r <= 0xfffd, r >= 0x10000:
			return r
		}
		return '\ufffd'
	}, s)
}

func junitTime(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// junitMessage is one line: what was expected, and what came instead.
func junitMessage(r *analyze.TestResult) string {
	for i := range r.Packets {
		if against := r.Packets[i].Against; len(against) > 0 {
			e := &against[0]
			s := fmt.Sprintf("expected %s, but %s", r.Expected(), e.Verdict)
			if e.By != (analyze.Ref{}) {
				s += " by " + placeOf(e.By)
			}
			return s + ": " + e.Packet
		}
	}
	return "expected " + r.Expected()
}
