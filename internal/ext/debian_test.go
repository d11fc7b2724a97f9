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
	"sync"
	"syscall"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

var (
	update   = cmdflag.Bool("update", false, "write the answers of Debian's iptables into testdata/ext")
	everyRow = cmdflag.Bool("everyrow", false, "ask Debian's iptables about every row by a program of its own")
)

// inNamespace runs f on a thread of its own in a new network namespace.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	needNamespace(t, newNamespace(f))
}

// newNamespace is inNamespace for any goroutine: an error says that f did not run.
func newNamespace(f func()) error {
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
	return <-done
}

// needNamespace ends a test that got no namespace.
func needNamespace(t *testing.T, err error) {
	t.Helper()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("no rights to make network namespaces: needs root, or a kernel that gives user namespaces to everyone")
	case err != nil:
		t.Fatal(err)
	}
}

// debian runs Debian's program and gives what it prints and its exit code.
func debian(t *testing.T, program string, args ...string) (string, int) {
	t.Helper()
	out, _, code := debianFed(t, "", program+"-nft", args...)
	return out, code
}

// debianFed runs a program of Debian's with input and gives its two outputs and its exit code.
func debianFed(t *testing.T, input, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd := exec.Command("/usr/sbin/"+program, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("Debian's iptables (apt-get install iptables): %v", err)
		return "", "", -1
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

// TestDebian gives each row to Debian's program: its answers are those of the
// rows files, the kernel's bytes are read as what was written, and ours are the
// same. To start a program costs more than all else here, so rows that iptables
// takes, or the kernel refuses, go to Debian's restore together; a sample of all
// rows (see alone), and with -everyrow each of them, also goes to -A of a program
// of its own. Of what iptables itself refuses only that sample is asked again;
// that we refuse every one of those rows is for TestRows.
func TestDebian(t *testing.T) {
	files := rowsFiles(t)
	worlds := worldsOf(t, files)
	var wait sync.WaitGroup
	for _, w := range worlds {
		wait.Go(func() { w.lacking = newNamespace(w.ask) })
	}
	wait.Wait()
	for _, w := range worlds {
		defer w.close()
		needNamespace(t, w.lacking)
	}
	for _, file := range files {
		t.Run(filepath.Base(file.path), func(t *testing.T) {
			asked := 0
			for _, w := range worlds {
				asked += w.check(t, file)
			}
			if asked == 0 {
				t.Error("Debian's program was asked about no row")
			}
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

// check compares Debian's answer with the file's, or takes it over with -update,
// and then what is in the kernel.
func (a *asked) check(t *testing.T, conn *nft.Conn) {
	if *update {
		a.row.answer = a.got
	}
	if a.row.answer != a.got {
		t.Errorf("%s:%d %s: the file says\n%sDebian says\n%s", a.file.path, a.line, a.options, a.row.answer, a.got)
		return
	}
	if a.verdict != "refused" && a.verdict != "kernel" {
		a.checkKernel(t, conn)
	}
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

// checkKernel compares the kernel's form of the rule with what we read and write.
func (a *asked) checkKernel(t *testing.T, conn *nft.Conn) {
	file, s, r := a.file, a.section, a.row
	place := fmt.Sprintf("%s:%d %s %s", file.path, r.line, s.head, r.options)
	if r.verdict == "nothing" {
		checkNothing(t, place, file, s, r)
		return
	}
	theirs, info := decodeExt(t, place, file.def(s.family()), s, a.list)
	if theirs == nil {
		return
	}
	if got := printed(theirs, s.family(), testRule(t, s)); got != r.answer {
		t.Errorf("%s: read from the kernel:\n%swant\n%s", place, got, r.answer)
	}
	ours, err := parseRow(t, file, s, r)
	if err != nil {
		t.Errorf("%s: %v", place, err)
		return
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
