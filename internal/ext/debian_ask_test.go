package ext

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
)

// asked is a row as Debian's program was given it, and what came of it.
type asked struct {
	*row
	file    *rowsFile
	section *section
	got     answer
	list    []byte // the kernel's expressions of the rule
}

// place is a chain in which rows are tried.
type place struct{ program, table, chain string }

func (a *asked) place() place { return place{a.section.program, a.section.table, a.section.chain} }

// world is a namespace in which Debian's program is asked about rows.
type world struct {
	t       *testing.T
	rows    []*asked // as the files have them
	answers []*asked // what was asked: rows of the sample twice, the others once or not at all
	conn    *nft.Conn
	lacking error // why there is no namespace
}

// worldsOf puts the rows of each program into a world of their own, but for files
// that need something set up: each of those has its own.
func worldsOf(t *testing.T, files []*rowsFile) (worlds []*world) {
	byName := map[string]*world{}
	for _, file := range files {
		set := slices.ContainsFunc(file.sections, func(s *section) bool { return len(s.setup) > 0 })
		for _, s := range file.sections {
			name := s.program
			if set {
				name = file.path
			}
			w := byName[name]
			if w == nil {
				w = &world{t: t}
				byName[name] = w
				worlds = append(worlds, w)
			}
			for _, r := range s.rows {
				w.rows = append(w.rows, &asked{row: r, file: file, section: s})
			}
		}
	}
	return worlds
}

func (w *world) close() {
	if w.conn != nil {
		w.conn.Close()
	}
}

// check checks what was asked of a file's rows and gives how many those are.
func (w *world) check(t *testing.T, file *rowsFile) (n int) {
	for _, a := range w.answers {
		if a.file == file {
			a.check(t, w.conn)
			n++
		}
	}
	return n
}

// ask asks in the namespace of the calling thread.
func (w *world) ask() {
	conn, err := nft.Open()
	if err != nil {
		w.t.Error(err)
		return
	}
	w.conn = conn
	var last *section
	for _, a := range w.rows {
		if a.section != last {
			last = a.section
			setUp(w.t, last)
		}
	}
	w.askAlone() // first: a program's start takes longer when there are many rules
	if !*update {
		w.askTogether()
	}
	w.look()
}

// askTogether gives each table's rows that iptables understands to one restore,
// those that the kernel refuses to others: these tell some fifteen rows each.
func (w *world) askTogether() {
	type batch struct{ program, table, verdict string }
	rows := map[batch][]*asked{}
	for _, a := range w.rows {
		if a.verdict == "refused" {
			continue
		}
		b := batch{a.section.program, a.section.table, ""}
		if a.verdict == "kernel" {
			b.verdict = a.verdict
		}
		rows[b] = append(rows[b], a)
	}
	for b, left := range rows {
		for len(left) > 0 {
			before := len(left)
			if left = w.restore(b.program, b.table, left); len(left) == before {
				break
			}
		}
		w.answers = append(w.answers, left...) // in the order in which the kernel has them
		for _, a := range rows[b] {
			if a.got.verdict != "" {
				w.answers = append(w.answers, a)
			}
		}
	}
}

// refusedLine is how restore names a line that it, or the kernel, refuses. What
// the kernel refuses it tells in 1,024 bytes, which may end within a number.
var refusedLine = regexp.MustCompile(`(?m)^(?:Error occurred at line: (\d+)|line (\d+):)`)

// restore gives a table's rows to Debian's restore and returns those that were
// not refused: if these are all, they are in the kernel.
func (w *world) restore(program, table string, rows []*asked) []*asked {
	var file strings.Builder
	fmt.Fprintf(&file, "*%s\n", table)
	for _, a := range rows {
		fmt.Fprintf(&file, "-A %s%s\n", a.section.chain, quoted(w.arguments(a)))
	}
	file.WriteString("COMMIT\n")
	_, complaints, code := debianFed(w.t, file.String(), program+"-nft-restore", "--noflush")
	if code == 0 {
		return rows
	}
	lines := refusedLine.FindAllStringSubmatch(complaints, -1)
	if lines == nil {
		w.t.Errorf("%s-restore of table %s: exit code %d: %s", program, table, code, complaints)
		return rows
	}
	for _, m := range lines {
		n, err := strconv.Atoi(m[1] + m[2])
		if err != nil || n < 2 || n > len(rows)+1 {
			w.t.Errorf("no row is meant by %q", m[0])
			return rows
		}
		rows[n-2].got.verdict = map[int]string{2: "refused", 4: "kernel"}[code]
	}
	return slices.DeleteFunc(slices.Clone(rows), func(a *asked) bool { return a.got.verdict != "" })
}

// quoted puts words as the save format has them, each behind a blank.
func quoted(words []string) string {
	var b strings.Builder
	for _, word := range words {
		b.WriteString(` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`)
	}
	return b.String()
}

// flagged is the option by which rows of the section name their extension.
func (a *asked) flagged() string {
	if a.file.def(a.section.family()).Kind == Target {
		return "-j"
	}
	return "-m"
}

// arguments are the words of the row's rule.
func (w *world) arguments(a *asked) []string {
	words, err := a.words()
	if err != nil {
		w.t.Errorf("%s:%d: %v", a.file.path, a.line, err)
	}
	name := a.file.def(a.section.family()).Name
	return slices.Concat(a.section.rule, []string{a.flagged(), name}, words)
}

// alone chooses the rows that get a program of their own: of each file and
// program the first that iptables takes, then every tenth; the same of those that
// the kernel refuses; of those that iptables refuses the first and every fourth.
func (w *world) alone() (rows []*asked) {
	type kind struct {
		file             *rowsFile
		program, verdict string
	}
	seen := map[kind]int{}
	for _, a := range w.rows {
		k, every := kind{a.file, a.section.program, a.verdict}, 10
		if a.verdict == "refused" {
			every = 4
		}
		if *update || *everyRow || seen[k]%every == 0 {
			rows = append(rows, &asked{row: a.row, file: a.file, section: a.section})
		}
		seen[k]++
	}
	return rows
}

func (w *world) askAlone() {
	for _, a := range w.alone() {
		s := a.section
		args := append([]string{"-t", s.table, "-A", s.chain}, w.arguments(a)...)
		_, code := debian(w.t, s.program, args...)
		a.got.verdict = map[int]string{2: "refused", 4: "kernel"}[code]
		w.answers = append(w.answers, a)
	}
}

// look takes what is in each chain: the listings of Debian's program and the kernel's expressions.
func (w *world) look() {
	chains := map[place][]*asked{}
	for _, a := range w.answers {
		if a.got.verdict == "" {
			chains[a.place()] = append(chains[a.place()], a)
		}
	}
	for p, rows := range chains {
		w.lookAt(p, rows)
		var lists [][]byte
		family := uint8(rows[0].section.family())
		err := w.conn.DumpRules(family, p.table, p.chain, func(v *nft.RuleView) error {
			lists = append(lists, bytes.Clone(v.Expressions))
			return nil
		})
		if err != nil || len(lists) != len(rows) {
			w.t.Errorf("%v: %d rules in the kernel for %d: %v", p, len(lists), len(rows), err)
			continue
		}
		for i, a := range rows {
			a.list = lists[i]
		}
	}
}

// lookAt cuts the extensions' parts out of Debian's listings of a chain.
func (w *world) lookAt(p place, rows []*asked) {
	lines := func(skip int, args ...string) []string {
		out, _ := debian(w.t, p.program, append([]string{"-t", p.table}, args...)...)
		all := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(all) != len(rows)+skip {
			w.t.Errorf("%v: %v has %d lines for %d rules:\n%s", p, args, len(all), len(rows), out)
			return make([]string, len(rows))
		}
		return all[skip:]
	}
	save, list, numeric := lines(1, "-S", p.chain), lines(2, "-L", p.chain), lines(2, "-nL", p.chain)
	for i, a := range rows {
		name := a.file.def(a.section.family()).Name
		_, part, found := strings.Cut(save[i]+" ", " "+a.flagged()+" "+name+" ")
		if !found {
			a.got.verdict = "nothing"
			continue
		}
		a.got = answer{
			save: strings.TrimSuffix(part, " "), list: afterAddresses(list[i], "anywhere"),
			numeric: afterAddresses(numeric[i], map[string]string{"iptables": "0.0.0.0/0", "ip6tables": "::/0"}[p.program]),
		}
	}
}

// afterAddresses cuts a line of -L behind its two columns of addresses.
func afterAddresses(line, any string) string {
	_, part, _ := strings.Cut(line, fmt.Sprintf("%-20s %-20s", any, any))
	return strings.TrimPrefix(part, " ")
}
