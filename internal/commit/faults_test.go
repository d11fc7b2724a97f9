package commit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"moat/internal/persist"
	"moat/internal/persist/persisttest"
	"moat/internal/rule"
)

var errFault = errors.New("the fault that the test made")

// faulty is Debian's firewall of which calls fail: one save by its number, counted
// from 1 (0: never), restores from a number on, or every check.
type faulty struct {
	debian
	saves, failSave       int
	restores, failRestore int
	failCheck             bool
}

func (f *faulty) Save(family rule.Family, w io.Writer, counters bool) error {
	if f.saves++; f.saves == f.failSave {
		return errFault
	}
	return f.debian.Save(family, w, counters)
}

func (f *faulty) Restore(family rule.Family, name string, r io.Reader, opts persist.RestoreOptions) error {
	if f.restores++; f.failRestore > 0 && f.restores >= f.failRestore {
		return errFault
	}
	return f.debian.Restore(family, name, r, opts)
}

func (f *faulty) Check(family rule.Family, name string, r io.Reader) error {
	if f.failCheck {
		return errFault
	}
	return f.debian.Check(family, name, r)
}

// applyHere runs Main in this process with the answer no.
func applyHere(t *testing.T, fw Firewall, root string) (code int, output string) {
	t.Helper()
	persisttest.Reset(t)
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	in, answer := pipe(t)
	if _, err := answer.WriteString("n"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code = Main(Env{
		Root: root, Environ: os.Environ(), Stdin: in, Stdout: &out, Stderr: &out, Firewall: fw,
	}, rule.IPv4, []string{fileOf(t, newRules)})
	return code, out.String()
}

func TestFaultsBeforeTheChangeChangeNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		fw   *faulty
		code int
		says string
	}{
		{"rules unreadable", &faulty{failSave: 1}, exitNoFirewall, "cannot be read"},
		{"old rules not restorable", &faulty{failCheck: true}, exitNoWayBack, "could not be put back"},
		{"new rules refused", &faulty{failRestore: 1}, exitRulesRefused, "nothing changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out := applyHere(t, c.fw, t.TempDir())
			if code != c.code || !strings.Contains(out, c.says) || !strings.Contains(out, errFault.Error()) {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			if got := persisttest.Rules(t, rule.IPv4); got != oldRules {
				t.Errorf("rules:\n%s", got)
			}
		})
	}
}

func TestJournalThatCannotBeWrittenPreventsTheChange(t *testing.T) {
	code, out := applyHere(t, &faulty{}, "/proc") // nobody makes folders there
	if code != exitNoWayBack || !strings.Contains(out, "nothing changed") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if got := persisttest.Rules(t, rule.IPv4); got != oldRules {
		t.Errorf("rules:\n%s", got)
	}
}

func TestRollbackWorksWhenTheNewRulesCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		failSave int
		says     string
	}{{2, "could not be written down"}, {3, "the present rules could not be taken into account"}} {
		code, out := applyHere(t, &faulty{failSave: c.failSave}, t.TempDir())
		if code != exitRolledBack || !strings.Contains(out, c.says) {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		wantOldIPv4(t)
	}
}

func wantOldIPv4(t *testing.T) {
	t.Helper()
	if got := persisttest.Rules(t, rule.IPv4); !strings.Contains(got, "10.1.1.1") || strings.Contains(got, "10.2.2.2") {
		t.Errorf("rules:\n%s", got)
	}
}

func TestFailedRollbackNamesTheFileOfTheOldRules(t *testing.T) {
	root := t.TempDir()
	code, out := applyHere(t, &faulty{failRestore: 2}, root)
	journal := root + pendingDir + "/old.v4"
	if code != exitStranded || !strings.Contains(out, "ROLLBACK FAILED") || !strings.Contains(out, "iptables-restore -c < "+journal) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	text, err := os.ReadFile(journal)
	if err != nil || !strings.Contains(string(text), "-A INPUT -s 10.1.1.1/32 -j DROP\n") {
		t.Errorf("journal: %v\n%s", err, text)
	}
}
