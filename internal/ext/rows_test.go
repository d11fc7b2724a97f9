package ext

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/netdb"
	"moat/internal/rule"
)

// A rows file (testdata/ext/NAME.txt) says what iptables 1.8.9 makes of options
// of extension NAME. It consists of sections
//
//	[PROGRAM TABLE CHAIN RULE…]
//
// whose rules begin with RULE…, and under each of them rows: options, quoted as
// for a shell, "(none)" for no option; below each row, indented by a tab, the
// answer, which TestDebian compares with Debian's program and writes with -update.
// A line "$ COMMAND" behind a section's head is run before Debian's program is
// asked; see setUp. The answers:
//
//	refused            exit code 2
//	kernel             understood, but the kernel refuses the rule
//	nothing            understood, and no trace of it is left in the rule
//	save TEXT          what -S prints of the extension
//	list TEXT          what -L prints of it
//	numeric TEXT       what -L -n prints of it
type rowsFile struct {
	path     string
	def      func(f rule.Family) *Def
	sections []*section
}

type section struct {
	line         int
	head         string
	program      string
	table, chain string
	rule         []string
	setup        []string // commands
	rows         []*row
}

type row struct {
	line    int
	options string // as it stands in the file
	answer
}

// answer is what iptables says to a row.
type answer struct {
	verdict             string // "", "refused", "kernel" or "nothing"
	save, list, numeric string
}

func (s *section) family() rule.Family {
	if s.program == "ip6tables" {
		return rule.IPv6
	}
	return rule.IPv4
}

// words are the row's options.
func (r *row) words() ([]string, error) {
	if r.options == "(none)" {
		return nil, nil
	}
	return shellWords(r.options)
}

// rowsFiles reads all rows files.
func rowsFiles(t testing.TB) []*rowsFile {
	t.Helper()
	paths, err := filepath.Glob("testdata/ext/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rows files: %v", err)
	}
	var files []*rowsFile
	for _, path := range paths {
		files = append(files, readRows(t, path))
	}
	return files
}

func readRows(t testing.TB, path string) *rowsFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(path), ".txt")
	file := &rowsFile{path: path, def: func(f rule.Family) *Def {
		if d := Find(Target, name, f); d != nil {
			return d
		}
		return Find(Match, name, f)
	}}
	for i, line := range strings.Split(string(data), "\n") {
		if err := file.add(i+1, line); err != nil {
			t.Fatalf("%s:%d: %v", path, i+1, err)
		}
	}
	return file
}

// add takes one line of the file.
func (f *rowsFile) add(n int, line string) error {
	var last *section
	if len(f.sections) > 0 {
		last = f.sections[len(f.sections)-1]
	}
	switch {
	case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
	case line[0] == '[':
		words := strings.Fields(strings.Trim(line, "[]"))
		if len(words) < 3 {
			return fmt.Errorf("a section needs program, table and chain")
		}
		f.sections = append(f.sections, &section{line: n, head: line, program: words[0], table: words[1], chain: words[2], rule: words[3:]})
	case last == nil:
		return fmt.Errorf("a row before the first section")
	case strings.HasPrefix(line, "$ "):
		last.setup = append(last.setup, line[2:])
	case line[0] == '\t':
		if len(last.rows) == 0 {
			return fmt.Errorf("an answer without a row")
		}
		return last.rows[len(last.rows)-1].take(line[1:])
	default:
		last.rows = append(last.rows, &row{line: n, options: line})
	}
	return nil
}

// take reads one line of an answer.
func (a *answer) take(line string) error {
	word, text, _ := strings.Cut(line, " ")
	switch word {
	case "refused", "kernel", "nothing":
		a.verdict = word
	case "save":
		a.save = text
	case "list":
		a.list = text
	case "numeric":
		a.numeric = text
	default:
		return fmt.Errorf("unknown answer %q", word)
	}
	return nil
}

// String is the answer as it stands in a rows file.
func (a answer) String() string {
	if a.verdict != "" {
		return "\t" + a.verdict + "\n"
	}
	return "\tsave " + a.save + "\n\tlist " + a.list + "\n\tnumeric " + a.numeric + "\n"
}

// shellWords splits a line as a shell does, with '…', "…" and backslashes.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(line) && (quote == 0 || strings.IndexByte("\"\\$`", line[i+1]) >= 0):
			i++
			word.WriteByte(line[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && c == ' ':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	if quote != 0 {
		return nil, fmt.Errorf("quote without an end: %s", line)
	}
	return words, nil
}

// saveWords splits a line of the save format: a backslash within "…" stands before any byte.
func saveWords(line string) []string {
	var words []string
	var word []byte
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word = append(word, line[i])
		case c == '"':
			quoted, inWord = !quoted, true
		case c == ' ' && !quoted:
			if inWord {
				words = append(words, string(word))
			}
			word, inWord = word[:0], false
		default:
			word, inWord = append(word, c), true
		}
	}
	if inWord {
		words = append(words, string(word))
	}
	return words
}

// testRule is the rule in which a section's extension stands.
func testRule(t testing.TB, s *section) *rule.Rule {
	t.Helper()
	r := &rule.Rule{}
	for i := 0; i < len(s.rule); i++ {
		switch s.rule[i] {
		case "!":
			r.Proto.Not = true
		case "-p":
			i++
			n, ok := testNames().Protocol(s.rule[i])
			if v, isNumber := ParseUint(s.rule[i]); isNumber {
				n, ok = uint8(v), true
			}
			if !ok {
				t.Fatalf("line %d: unknown protocol %s", s.line, s.rule[i])
			}
			r.Proto.Number = uint16(n)
		default:
			t.Fatalf("line %d: the rule of a section is [!] -p PROTOCOL", s.line)
		}
	}
	return r
}

// testNames knows the services, protocols and hosts of testdata/etc, and asks nobody else.
func testNames() *netdb.DB {
	return &netdb.DB{Etc: "testdata/etc", Sets: setsOfRows, Resolve: func(context.Context, string) ([]string, error) {
		return nil, errors.New("no resolver in tests")
	}}
}

// parseOptions reads options of one extension as the command line does, for
// options written in full.
func parseOptions(d *Def, c *Context, words []string) (Ext, error) {
	in := NewInstance(d, c)
	not := false
	for i := 0; i < len(words); i++ {
		if words[i] == "!" {
			not = true
			continue
		}
		name, attached, has := strings.Cut(strings.TrimPrefix(words[i], "--"), "=")
		o, index := optionByPrefix(d, name)
		if o == nil {
			return nil, &Error{Ext: d.Name, Option: name, Msg: "is not known"}
		}
		var args [2]string
		n := o.Arguments()
		if o.Optional && (i+1 == len(words) || words[i+1][0] == '-' || words[i+1] == "!") {
			n = 0
		}
		if has && n > 0 {
			args[0], n = attached, 0
		}
		for j := range n {
			if i++; i >= len(words) {
				return nil, &Error{Ext: d.Name, Option: name, Msg: "needs an argument"}
			}
			args[j] = words[i]
		}
		if err := in.Set(c, index, not, args[0], args[1]); err != nil {
			return nil, err
		}
		not = false
	}
	if err := in.Finish(c); err != nil {
		return nil, err
	}
	return in.Ext, nil
}

// optionByPrefix finds an option by its name or the only name that begins so.
func optionByPrefix(d *Def, name string) (*Option, int) {
	if o, i := d.Option(name); o != nil {
		return o, i
	}
	found := -1
	for i := range d.Options {
		for _, n := range append([]string{d.Options[i].Name}, d.Options[i].Aliases...) {
			if strings.HasPrefix(n, name) && found >= 0 && found != i {
				return nil, -1
			} else if strings.HasPrefix(n, name) {
				found = i
			}
		}
	}
	if found < 0 {
		return nil, -1
	}
	return &d.Options[found], found
}
