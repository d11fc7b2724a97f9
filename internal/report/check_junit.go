package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"moat/internal/analyze"
)

// JUnit's XML has no standard; this is the part that Jenkins, GitLab, GitHub's
// actions and Azure read alike.
type (
	junitSuites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     string   `xml:"time,attr"` // seconds
		Suites   []junitSuite
	}
	junitSuite struct {
		XMLName  xml.Name `xml:"testsuite"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Time     string   `xml:"time,attr"`
		Cases    []junitCase
	}
	junitCase struct {
		XMLName xml.Name      `xml:"testcase"`
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"` // fail or unknown
		Text    string `xml:",cdata"`
	}
)

// CheckJUnit writes the results of a file of tests as CI systems read them. A
// test that hangs on what no packet decides is a failure of type "unknown".
func CheckJUnit(w io.Writer, source string, results []analyze.TestResult) error {
	suite := junitSuite{Name: source, Tests: len(results)}
	var all time.Duration
	for i := range results {
		r := &results[i]
		all += r.Elapsed
		one := junitCase{Name: r.Name, Class: source, File: source, Line: r.Line, Time: junitTime(r.Elapsed)}
		if r.Outcome != analyze.TestPassed {
			suite.Failures++
			one.Failure = &junitFailure{Message: junitMessage(r), Type: r.Outcome.String(), Text: xmlText("\n" + checkDetails(source, r, false, ""))}
		}
		suite.Cases = append(suite.Cases, one)
	}
	suite.Time = junitTime(all)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Time: suite.Time, Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// xmlText is text without the characters that XML cannot have, which a CDATA
// section would pass on.
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
		for _, e := range r.Packets[i].Against {
			s := fmt.Sprintf("expected %s, but %s", r.Expected(), e.Verdict)
			if e.By != (analyze.Ref{}) {
				s += " by " + placeOf(e.By)
			}
			return s + ": " + e.Packet
		}
	}
	return "expected " + r.Expected()
}
