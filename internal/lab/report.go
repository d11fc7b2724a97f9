package lab

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// outcome is a check that was made: what, what became of it, and what was
// expected (nil: nothing).
type outcome struct {
	what   string
	result Result
	want   *State
}

// missed says that something else was expected.
func (o outcome) missed() bool { return o.want != nil && *o.want != o.result.State }

// code gives the exit code of a `probe` command: without an expectation, only
// an open service is a success.
func (o outcome) code() int {
	if o.missed() || o.want == nil && o.result.State != Open {
		return 1
	}
	return 0
}

// line gives "tcp 22 from client: open" and says so when it should not be.
func (o outcome) line(color bool) string {
	state := paint(color, stateColor(o.result.State), o.result.State.String())
	text := fmt.Sprintf("  %-38s %s", o.what, state)
	switch {
	case o.missed():
		text += " " + paint(color, red, fmt.Sprintf("WRONG: expected %v; %v", *o.want, o.result))
	case o.want != nil:
		text += paint(color, gray, " as expected")
	case o.result.Reason != "":
		text += paint(color, gray, " ("+o.result.Reason+")")
	}
	return text
}

// ANSI colours (ECMA-48, SGR).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	gray   = "90"
	bold   = "1"
)

func paint(color bool, code, text string) string {
	if !color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func stateColor(s State) string {
	switch s {
	case Open:
		return green
	case Silent, Unsent, Failed:
		return red
	}
	return yellow
}

// report makes the checks that the script's comments ask for, and then shows
// which of all services answer whom.
func (s *session) report(checks []Check) error {
	w := s.opts.Stdout
	if len(checks) > 0 {
		if _, err := fmt.Fprintf(w, "\n%s\n", paint(s.opts.Color, bold, "Probes the script asks for")); err != nil {
			return err
		}
	}
	for _, c := range checks {
		if _, err := fmt.Fprintln(w, s.check(c).line(s.opts.Color)); err != nil {
			return err
		}
	}
	for _, family := range []int{4, 6} {
		if err := s.table(family).write(w, s.opts.Color); err != nil {
			return err
		}
	}
	return nil
}

// table is the grid of one family: a row a service, a column an origin.
type table struct {
	title   string
	sources []string
	rows    []string
	states  [][]State // by row, then origin
}

// table probes every service from every origin, all at once.
func (s *session) table(family int) table {
	t := table{title: "IPv4", sources: []string{ClientAddr, BlockedAddr, "127.0.0.1"}}
	if family == 6 {
		t.title, t.sources = "IPv6", []string{ClientAddr6, BlockedAddr6, "::1"}
	}
	var wg sync.WaitGroup
	services := append([]Service{{"icmp", 0}}, s.services...)
	t.states = make([][]State, len(services))
	for i, service := range services {
		t.states[i] = make([]State, len(origins))
		for j, from := range origins {
			c := Check{Proto: service.Proto, Port: service.Port, From: from, Family: family}
			if j == 0 {
				t.rows = append(t.rows, c.Service())
			}
			wg.Go(func() { t.states[i][j] = s.check(c).result.State })
		}
	}
	wg.Wait()
	return t
}

// write prints the table with columns as wide as their widest word.
func (t table) write(w io.Writer, color bool) error {
	first, widths := utf8.RuneCountInString(t.title), make([]int, len(origins))
	for i, row := range t.rows {
		first = max(first, len(row))
		for j := range origins {
			widths[j] = max(widths[j], len(origins[j]), len(t.sources[j]), len(t.states[i][j].String()))
		}
	}
	var b strings.Builder
	line := func(head string, cell func(j int) (text, color string)) {
		fmt.Fprintf(&b, "  %-*s", first, head)
		for j := range origins {
			text, code := cell(j)
			b.WriteString("  " + paint(color, code, text))
			if j < len(origins)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-len(text)))
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%s\n", paint(color, bold, "Who gets through to the server, "+t.title))
	line("", func(j int) (string, string) { return origins[j], bold })
	line("", func(j int) (string, string) { return t.sources[j], gray })
	for i, row := range t.rows {
		line(row, func(j int) (string, string) { return t.states[i][j].String(), stateColor(t.states[i][j]) })
	}
	_, err := io.WriteString(w, b.String())
	return err
}
