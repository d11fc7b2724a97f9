package ext

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"moat/internal/rule"
)

// printed is what an extension prints in each of the three forms, without the first blank.
func printed(x Ext, f rule.Family, r *rule.Rule) answer {
	form := func(numeric bool, print func(*Printer)) string {
		p := &Printer{Family: f, Rule: r, Names: testNames(), Numeric: numeric}
		print(p)
		return strings.TrimPrefix(string(p.B), " ")
	}
	return answer{save: form(false, x.Save), list: form(false, x.List), numeric: form(true, x.List)}
}

// TestRows reads each row's options and prints what they mean as iptables does.
func TestRows(t *testing.T) {
	for _, file := range rowsFiles(t) {
		t.Run(filepath.Base(file.path), func(t *testing.T) {
			for _, s := range file.sections {
				for _, r := range s.rows {
					checkRow(t, file, s, r)
				}
			}
		})
	}
}

func checkRow(t *testing.T, file *rowsFile, s *section, r *row) {
	t.Helper()
	place := fmt.Sprintf("%s:%d %s %s", file.path, r.line, s.head, r.options)
	x, err := parseRow(t, file, s, r)
	var refused *Error
	switch {
	case err != nil && !errors.As(err, &refused):
		t.Errorf("%s: error %v is no *Error", place, err)
	case err != nil && r.verdict != "refused":
		t.Errorf("%s: refused: %v", place, err)
	case err != nil && strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: the error is not one line: %v", place, err)
	case err == nil && r.verdict == "refused":
		t.Errorf("%s: not refused", place)
	case err == nil && r.verdict == "":
		if got := printed(x, s.family(), testRule(t, s)); got != r.answer {
			t.Errorf("%s:\ngot\n%swant\n%s", place, got, r.answer)
		}
		checkReparse(t, place, file.def(s.family()), s, x)
	}
}

func parseRow(t testing.TB, file *rowsFile, s *section, r *row) (Ext, error) {
	t.Helper()
	words, err := r.words()
	if err != nil {
		t.Fatalf("%s:%d: %v", file.path, r.line, err)
	}
	d := file.def(s.family())
	if d == nil {
		t.Fatalf("%s: no such extension for %s", file.path, s.program)
	}
	c := &Context{Family: s.family(), Table: s.table, Rule: testRule(t, s), Names: testNames()}
	return parseOptions(d, c, words)
}

// unrepeatable reports whether iptables itself refuses what it saves: the base
// that SNAT and MASQUERADE lose is saved as 0, and a base behind a range of one
// port is saved behind that port. Match recent saves great numbers as negative
// ones; match time saves no days as nothing, and the date 0 not at all; match
// rateest saves its comparison twice for two kinds of rates.
func unrepeatable(d *Def, words []string) bool {
	if d == &timeMatch {
		days := slices.Index(words, "--monthdays")
		return !slices.Contains(words, "--datestop") || days >= 0 && len(words[days+1]) > 80 ||
			slices.ContainsFunc(words[1:], func(w string) bool {
				i := slices.Index(words, w)
				return strings.HasPrefix(w, "--") && (words[i-1] == "--monthdays" || words[i-1] == "--weekdays")
			})
	}
	if d == &rateEstMatch {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--rateest-bps") }) &&
			slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--rateest-pps") })
	}
	if i := slices.Index(words, "--seconds"); i >= 0 && strings.HasPrefix(words[i+1], "-") {
		return true
	}
	if len(words) < 2 || !strings.HasPrefix(words[0], "--to-") {
		return false
	}
	ports, base, has := strings.Cut(words[1][strings.LastIndexByte(words[1], ':')+1:], "/")
	return has && (base == "0" || !strings.Contains(ports, "-"))
}

// checkReparse holds that the save form means what was saved.
func checkReparse(t *testing.T, place string, d *Def, s *section, x Ext) {
	t.Helper()
	save := printed(x, s.family(), testRule(t, s)).save
	words := saveWords(save)
	if unrepeatable(d, words) {
		return
	}
	c := &Context{Family: s.family(), Table: s.table, Rule: testRule(t, s), Names: testNames()}
	again, err := parseOptions(d, c, words)
	if err != nil {
		t.Errorf("%s: the save form %s is refused: %v", place, save, err)
		return
	}
	if got := printed(again, s.family(), testRule(t, s)).save; got != save {
		t.Errorf("%s: saved %s, and again %s", place, save, got)
	}
}
