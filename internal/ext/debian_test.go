package ext

import (
	"bytes"
	"errors"
	cmdflag "flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

var update = cmdflag.Bool("update", false, "write the answers of Debian's iptables into testdata/ext")

// inNamespace runs f on a thread of its own in a new network namespace.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the namespace with it
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		if err == nil {
			defer close(done)
			f()
			return
		}
		done <- err
	}()
	switch err := <-done; {
	case errors.Is(err, syscall.EPERM):
		t.Skip("no rights to make network namespaces: needs root, or a kernel that gives user namespaces to everyone")
	case err != nil:
		t.Fatal(err)
	}
}

// debian runs Debian's program and gives what it prints and its exit code.
func debian(t *testing.T, program string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command("/usr/sbin/"+program+"-nft", args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("Debian's iptables (apt-get install iptables): %v", err)
		return "", -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestDebian gives each row to Debian's program: its answers are those of the
// rows files, the kernel's bytes are read as what was written, and ours are the same.
func TestDebian(t *testing.T) {
	for _, file := range rowsFiles(t) {
		t.Run(filepath.Base(file.path), func(t *testing.T) {
			inNamespace(t, func() {
				for _, s := range file.sections {
					debianSection(t, file, s)
				}
			})
			if *update && !t.Failed() {
				file.write(t)
			}
		})
	}
}

// write writes the file with its present answers.
func (f *rowsFile) write(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for i, s := range f.sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.head + "\n")
		for _, command := range s.setup {
			b.WriteString("$ " + command + "\n")
		}
		for _, r := range s.rows {
			b.WriteString(r.options + "\n" + r.answer.String())
		}
	}
	if err := os.WriteFile(f.path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// debianSection appends the section's rules, those that are taken, to one chain and looks at it.
func debianSection(t *testing.T, file *rowsFile, s *section) {
	d := file.def(s.family())
	flagged := "-m"
	if d.Kind == Target {
		flagged = "-j"
	}
	setUp(t, s)
	debian(t, s.program, "-t", s.table, "-F", s.chain)
	var taken []*row
	for _, r := range s.rows {
		words, err := r.words()
		if err != nil {
			t.Errorf("%s:%d: %v", file.path, r.line, err)
			return
		}
		args := append([]string{"-t", s.table, "-A", s.chain}, s.rule...)
		_, code := debian(t, s.program, append(append(args, flagged, d.Name), words...)...)
		switch verdict := map[int]string{2: "refused", 4: "kernel"}[code]; {
		case verdict != "":
			r.expect(t, file, answer{verdict: verdict})
		default:
			taken = append(taken, r)
		}
	}
	if len(taken) == 0 {
		return
	}
	answers := debianAnswers(t, s, d, flagged, len(taken))
	for i, r := range taken {
		r.expect(t, file, answers[i])
	}
	checkKernel(t, file, s, taken)
}

// expect compares Debian's answer with the file's, or takes it over with -update.
func (r *row) expect(t *testing.T, file *rowsFile, a answer) {
	if *update {
		r.answer = a
	}
	if r.answer != a {
		t.Errorf("%s:%d %s: the file says\n%sDebian says\n%s", file.path, r.line, r.options, r.answer, a)
	}
}

// debianAnswers cuts the extension's part out of Debian's listings of the chain.
func debianAnswers(t *testing.T, s *section, d *Def, flagged string, n int) []answer {
	lines := func(skip int, args ...string) []string {
		out, _ := debian(t, s.program, append([]string{"-t", s.table}, args...)...)
		all := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(all) != n+skip {
			t.Errorf("line %d: %v has %d lines for %d rules:\n%s", s.line, args, len(all), n, out)
			return make([]string, n)
		}
		return all[skip:]
	}
	save, list, numeric := lines(1, "-S", s.chain), lines(2, "-L", s.chain), lines(2, "-nL", s.chain)
	answers := make([]answer, n)
	for i := range answers {
		_, part, found := strings.Cut(save[i]+" ", " "+flagged+" "+d.Name+" ")
		if !found {
			answers[i].verdict = "nothing"
			continue
		}
		answers[i] = answer{
			save: strings.TrimSuffix(part, " "), list: afterAddresses(list[i], "anywhere"),
			numeric: afterAddresses(numeric[i], map[string]string{"iptables": "0.0.0.0/0", "ip6tables": "::/0"}[s.program]),
		}
	}
	return answers
}

// afterAddresses cuts a line of -L behind its two columns of addresses.
func afterAddresses(line, any string) string {
	_, part, _ := strings.Cut(line, fmt.Sprintf("%-20s %-20s", any, any))
	return strings.TrimPrefix(part, " ")
}

// realKernel asks the running kernel for revisions.
type realKernel struct {
	t    *testing.T
	conn *nft.Conn
}

func (k realKernel) HasRevision(f rule.Family, kind Kind, name string, rev uint8) bool {
	has, err := k.conn.CompatRevision(uint8(f), name, kind == Target, rev)
	if err != nil {
		k.t.Errorf("revision %d of %s: %v", rev, name, err)
	}
	return has
}

// checkKernel compares the kernel's form of each rule with what we read and write.
func checkKernel(t *testing.T, file *rowsFile, s *section, taken []*row) {
	conn, err := nft.Open()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	var lists [][]byte
	err = conn.DumpRules(uint8(s.family()), s.table, s.chain, func(v *nft.RuleView) error {
		lists = append(lists, bytes.Clone(v.Expressions))
		return nil
	})
	if err != nil || len(lists) != len(taken) {
		t.Errorf("%s: %d rules in the kernel for %d: %v", s.head, len(lists), len(taken), err)
		return
	}
	for i, r := range taken {
		place := fmt.Sprintf("%s:%d %s %s", file.path, r.line, s.head, r.options)
		if r.verdict == "nothing" {
			checkNothing(t, place, file, s, r)
			continue
		}
		theirs, info := decodeExt(t, place, file.def(s.family()), s, lists[i])
		if theirs == nil {
			continue
		}
		if got := printed(theirs, s.family(), testRule(t, s)); got != r.answer {
			t.Errorf("%s: read from the kernel:\n%swant\n%s", place, got, r.answer)
		}
		ours, err := parseRow(t, file, s, r)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		if !Equal(theirs, ours) {
			t.Errorf("%s: parsed %+v, read %+v", place, ours, theirs)
		}
		for what, x := range map[string]Ext{"parsed": ours, "read": theirs} {
			again, bytesOfX := encodeExt(t, place, x, s, realKernel{t, conn})
			if !bytes.Equal(bytesOfX, info) {
				t.Errorf("%s: %s value is written as\n%x, Debian writes\n%x", place, what, bytesOfX, info)
			}
			if again != nil && !Equal(again, x) {
				t.Errorf("%s: %s value %+v comes back as %+v", place, what, x, again)
			}
		}
	}
}

// checkNothing holds that a row's options leave no expression.
func checkNothing(t *testing.T, place string, file *rowsFile, s *section, r *row) {
	x, err := parseRow(t, file, s, r)
	if err != nil {
		t.Errorf("%s: %v", place, err)
		return
	}
	var b nft.Buffer
	e := &Encoder{Buffer: &b, Family: s.family(), Rule: testRule(t, s)}
	if err := e.Put(x); err != nil || b.Len() != 0 {
		t.Errorf("%s: %d bytes of expressions, want none: %v", place, b.Len(), err)
	}
}

// encodeExt writes an extension and reads it back.
func encodeExt(t *testing.T, place string, x Ext, s *section, k Kernel) (Ext, []byte) {
	var b nft.Buffer
	e := &Encoder{Buffer: &b, Family: s.family(), Rule: testRule(t, s), Kernel: k}
	if err := e.Put(x); err != nil {
		t.Errorf("%s: %v", place, err)
		return nil, nil
	}
	return decodeExt(t, place, x.Def(), s, b.Bytes())
}

// decodeExt reads the extension of def out of a rule's expressions, with the
// payload of its xt form if it has that.
func decodeExt(t *testing.T, place string, def *Def, s *section, list []byte) (Ext, []byte) {
	d := &Decoder{Family: s.family(), Rule: testRule(t, s)}
	var info []byte
	err := nft.Terms(list, func(term *nft.Term) bool {
		switch term.Kind {
		case nft.TermMatch, nft.TermTarget:
			info = bytes.Clone(term.Info)
			d.XT(term)
		case nft.TermCompare:
			if !term.Load.IsMeta(nft.NFT_META_L4PROTO) && !d.Native(term) {
				t.Errorf("%s: a comparison is not understood", place)
			}
		case nft.TermCounter:
		default:
			if !d.Native(term) {
				t.Errorf("%s: expression %s is not understood", place, term.Expr.Name)
			}
		}
		return true
	})
	if err != nil {
		t.Errorf("%s: %v", place, err)
	}
	if def.Kind == Match {
		if x := d.FindMatch(def); x != nil {
			return x, info
		}
	} else if x, ok := d.Rule.Target.(Ext); ok && x.Def() == def {
		return x, info
	}
	t.Errorf("%s: no %s found in the rule", place, def.Name)
	return nil, info
}
