package report

import (
	"encoding/xml"
	"strings"
	"testing"

	"moat/internal/analyze"
)

// TestJUnitIsXMLWhateverIsInATest writes names and texts that XML has escapes
// for, or cannot have, and reads them as a CI system does.
func TestJUnitIsXMLWhateverIsInATest(t *testing.T) {
	const (
		name = "a \"b\" <c> & 'd' é \U0001F525\t\n]]> &amp; \x00\x1b\r\ufffe\xff"
		want = "a \"b\" <c> & 'd' é \U0001F525\t\n]]> &amp; \ufffd\ufffd\ufffd\ufffd\ufffd"
	)
	results := []analyze.TestResult{
		{Test: &analyze.Test{Name: name, Line: 7, Expect: analyze.ExpectDrop}, Outcome: analyze.TestFailed},
		{Test: &analyze.Test{Name: "good"}, Outcome: analyze.TestPassed},
	}
	var b strings.Builder
	if err := CheckJUnit(&b, name, results); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Failures int `xml:"failures,attr"`
		Suite    struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Class   string  `xml:"classname,attr"`
				Line    int     `xml:"line,attr"`
				Failure *string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &read); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	s := read.Suite
	if read.Failures != 1 || s.Name != want || len(s.Cases) != 2 {
		t.Fatalf("read as %+v\n%s", read, b.String())
	}
	if c := s.Cases[0]; c.Name != want || c.Class != want || c.Line != 7 || c.Failure == nil {
		t.Errorf("read as %+v", c)
	}
	if s.Cases[1].Failure != nil {
		t.Errorf("a test that holds has the failure %q", *s.Cases[1].Failure)
	}
	if got, err := textOf(xmlCDATA("]]>]]]>" + name)); err != nil || got != "]]>]]]>"+want {
		t.Errorf("a section reads as %q, %v", got, err)
	}
}

// textOf reads the text of an element.
func textOf(content string) (s string, err error) {
	err = xml.Unmarshal([]byte("<a>"+content+"</a>"), &s)
	return s, err
}
