package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command is one command line of a case file.
type command struct {
	place      string // file:line
	words      []string
	stdin      string
	bothDebian bool // run by Debian's program on both sides
	started    bool // Moat's side is a started process, whatever starts says
}

// String gives the command as it can be pasted into a shell.
func (c command) String() string {
	text := quoteWords(c.words)
	if c.stdin != "" {
		text += " <<'END'\n" + c.stdin + "END"
	}
	return text
}

// script is a case of a .cmds file: commands run one after another.
type script struct {
	setup    []command
	commands []command
}

// ruleLine is a line of a .rules file for one program.
type ruleLine struct {
	place         string
	setup         []command
	program       string
	table, chain  string
	specification []string
	bad           bool // must be refused
	isSample      bool // runs by itself for Debian's -A, -C and -D; is listed together with others
}

// lines reads a file into its lines, without the newline.
func lines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), nil
}

// parseCommand reads the command at in[i]; next is the index of the line behind it, past its here document.
func parseCommand(file string, in []string, i int) (c command, next int, err error) {
	c.place = fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
	line, here, isHere := strings.Cut(in[i], "<<")
	line, c.bothDebian = strings.CutPrefix(strings.TrimSpace(line), "debian: ")
	if c.words, err = splitWords(line); err != nil {
		return c, 0, fmt.Errorf("%s: %w", c.place, err)
	}
	if len(c.words) == 0 {
		return c, 0, fmt.Errorf("%s: no command", c.place)
	}
	next = i + 1
	if !isHere {
		return c, next, nil
	}
	end := strings.Trim(strings.TrimSpace(here), "'")
	for ; next < len(in); next++ {
		if in[next] == end {
			return c, next + 1, nil
		}
		c.stdin += in[next] + "\n"
	}
	return c, 0, fmt.Errorf("%s: document without its end %q", c.place, end)
}

// parseScripts reads a .cmds file.
func parseScripts(file string) ([]script, error) {
	in, err := lines(file)
	if err != nil {
		return nil, err
	}
	var out []script
	var current script
	var setup []command
	each := false
	flush := func() {
		if len(current.commands) > 0 {
			current.setup = setup
			out = append(out, current)
			current = script{}
		}
	}
	for i := 0; i < len(in); {
		line := strings.TrimSpace(in[i])
		value, isSetup := strings.CutPrefix(line, "setup:")
		switch {
		case line == "":
			flush()
			i++
		case strings.HasPrefix(line, "#"):
			i++
		case line == "mode: lines" || line == "mode: blocks":
			flush()
			each = line == "mode: lines"
			i++
		case isSetup:
			flush()
			if setup, err = addSetup(setup, file, i, value); err != nil {
				return nil, err
			}
			i++
		default:
			c, next, err := parseCommand(file, in, i)
			if err != nil {
				return nil, err
			}
			current.commands = append(current.commands, c)
			i = next
			if each {
				flush()
			}
		}
	}
	flush()
	return out, nil
}

// addSetup gives setup with one more command, or none where value is empty. The given slice stays as it is.
func addSetup(setup []command, file string, i int, value string) ([]command, error) {
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	words, err := splitWords(value)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", filepath.Base(file), i+1, err)
	}
	place := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
	return append(setup[:len(setup):len(setup)], command{place: place, words: words, bothDebian: true}), nil
}

// parseRules reads a .rules file; a line comes out once per program.
func parseRules(file string) ([]ruleLine, error) {
	in, err := lines(file)
	if err != nil {
		return nil, err
	}
	var out []ruleLine
	var setup []command
	names, table, chain := []string{"iptables"}, "filter", "INPUT"
	for i, line := range in {
		place := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
		directive, value, _ := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case directive == "programs":
			names = strings.Fields(value)
		case directive == "chain":
			if n, _ := fmt.Sscan(value, &table, &chain); n != 2 {
				return nil, fmt.Errorf("%s: want \"chain: TABLE CHAIN\"", place)
			}
		case directive == "setup":
			if setup, err = addSetup(setup, file, i, value); err != nil {
				return nil, err
			}
		default:
			text, bad := strings.CutPrefix(line, "bad:")
			words, err := splitWords(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", place, err)
			}
			for _, name := range names {
				out = append(out, ruleLine{place: place, setup: setup, program: name, table: table, chain: chain, specification: words, bad: bad})
			}
		}
	}
	return out, nil
}

// caseFiles lists testdata/*.suffix, at least one, and those of testdata/ext, which holds a table for each extension.
func caseFiles(t *testing.T, suffix string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*."+suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata/*.%s (%v)", suffix, err)
	}
	extensions, err := filepath.Glob(filepath.Join("testdata", "ext", "*."+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return append(files, extensions...)
}

// TestEnoughCommandLines keeps the suite from shrinking below what the issue asks for.
func TestEnoughCommandLines(t *testing.T) {
	good, bad, others := 0, 0, 0
	for _, f := range caseFiles(t, "rules") {
		rules, err := parseRules(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			if r.bad {
				bad++
			} else {
				good++
			}
		}
	}
	for _, f := range caseFiles(t, "cmds") {
		scripts, err := parseScripts(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scripts {
			others += len(s.commands)
		}
	}
	t.Logf("%d good rules, %d bad rules, %d other command lines", good, bad, others)
	if good+bad+others < 450 {
		t.Errorf("%d command lines, want at least 450", good+bad+others)
	}
}
