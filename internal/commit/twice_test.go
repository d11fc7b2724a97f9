package commit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moat/internal/rule"
)

// damage turns one bit of files of the pending change.
func (w *world) damage(names ...string) {
	w.t.Helper()
	for _, name := range names {
		path := filepath.Join(w.env.Root+pendingDir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		text[len(text)/2] ^= 1
		if err := os.WriteFile(path, text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// cut does what else becomes of a file.
func (w *world) cut(name string, size int64) {
	w.t.Helper()
	path := filepath.Join(w.env.Root+pendingDir, name)
	err := os.Truncate(path, size)
	if size < 0 {
		err = os.Remove(path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestOneDamagedFileOfTheJournalIsSurvived(t *testing.T) {
	t.Parallel()
	for _, name := range []string{journalFile, "old.v4", "old.v6"} {
		for _, at := range []string{name, copyDir + "/" + name} {
			for how, harm := range map[string]func(*world){
				"a bit is turned": func(w *world) { w.damage(at) },
				"it is cut off":   func(w *world) { w.cut(at, 20) },
				"it is empty":     func(w *world) { w.cut(at, 0) },
				"it is gone":      func(w *world) { w.cut(at, -1) },
			} {
				for way, take := range map[string]func(*world){
					"rollback":   func(w *world) { Rollback(w.env) },
					"next start": func(w *world) { w.time += time.Minute; Finish(w.env) },
					"watchdog": func(w *world) {
						w.time += time.Hour
						if code := Watchdog(w.env, false); code != 0 {
							w.t.Errorf("exit code %d", code)
						}
					},
				} {
					t.Run(fmt.Sprintf("%s, %s, %s", at, how, way), func(t *testing.T) {
						t.Parallel()
						w := newWorld(t)
						w.apply(change(false))
						harm(w)
						take(w)
						if !w.isOld() || IsPending(w.env.Root) {
							t.Errorf("rules:\n%s%s, output:\n%s", w.fw.text(rule.IPv4), w.fw.text(rule.IPv6), &w.out)
						}
						if isTold := strings.Contains(w.out.String(), name+" was damaged, and its copy was used"); isTold != (at == name) {
							t.Errorf("told %v:\n%s", isTold, &w.out)
						}
					})
				}
			}
		}
	}
}

func TestDamagedJournalIsConfirmedAndSavedFromItsCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(true))
	w.damage(journalFile, "new.v4", "copy/new.v6")
	w.out.Reset()
	if code := Status(w.env, false); code != ExitDone || !strings.Contains(w.out.String(), "damaged   journal.json") {
		t.Errorf("status: exit code %d:\n%s", code, &w.out)
	}
	if code := Confirm(w.env, false); code != ExitDone || !w.isNew() || w.savedForBoot() != 2 || !strings.Contains(w.out.String(), "journal.json was damaged") {
		t.Errorf("exit code %d, %d boot files:\n%s", code, w.savedForBoot(), &w.out)
	}
}

func TestJournalOfAnEarlierBootIsClosedFromItsCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.damage(journalFile)
	w.env.boot, w.time = "another boot", 0
	Finish(w.env)
	if IsPending(w.env.Root) || !strings.Contains(w.out.String(), endedReboot) {
		t.Errorf("output:\n%s", &w.out)
	}
}

func TestConfirmedRulesAreSavedAtTheNextBootFromTheirCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(true))
	w.dieAt(stepDecided, func() { Confirm(w.env, false) })
	w.damage("new.v4", journalFile)
	w.env.boot, w.time = "another boot", 0
	Finish(w.env)
	for _, want := range []string{endedConfirmed, "new.v4 was damaged, and its copy was used", "journal.json was damaged"} {
		if !strings.Contains(w.out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &w.out)
		}
	}
	if w.savedForBoot() != 2 || IsPending(w.env.Root) {
		t.Errorf("%d boot files", w.savedForBoot())
	}
}

// TestOldRulesThatAreLostInBothPlacesEmptyNothing has one family's old rules
// damaged beyond help: the other comes back, and that one stays as it is.
func TestOldRulesThatAreLostInBothPlacesEmptyNothing(t *testing.T) {
	t.Parallel()
	for how, harm := range map[string]func(*world, string){
		"damaged": func(w *world, name string) { w.damage(name) }, "gone": func(w *world, name string) { w.cut(name, -1) },
	} {
		w := newWorld(t)
		w.apply(change(false))
		harm(w, "old.v4")
		harm(w, "copy/old.v4")
		made := w.fw.text(rule.IPv4)
		if code := Rollback(w.env); code != ExitStranded || !IsPending(w.env.Root) || !strings.Contains(w.out.String(), "ROLLBACK FAILED, the new IPv4 rules are in force") {
			t.Errorf("%s: exit code %d:\n%s", how, code, &w.out)
		}
		if w.fw.text(rule.IPv4) != made || w.fw.text(rule.IPv6) != before6 {
			t.Errorf("%s: rules:\n%s%s", how, w.fw.text(rule.IPv4), w.fw.text(rule.IPv6))
		}
	}
}

// TestStateThatIsLostTakesTheChangeBack: nobody knows if it was made whole.
func TestStateThatIsLostTakesTheChangeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.cut(stateApplied.file(), -1)
	w.cut(watchdogFile, -1)
	Finish(w.env)
	if !w.isOld() || IsPending(w.env.Root) || !strings.Contains(w.out.String(), "the state of the change was missing") {
		t.Errorf("rules:\n%soutput:\n%s", w.fw.text(rule.IPv4), &w.out)
	}
}

func TestEachErrorOfADamagedJournalIsSaidOnceWithWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.damage(journalFile, copyDir+"/"+journalFile)
	for name, run := range map[string]func() int{
		"status": func() int { return Status(w.env, false) }, "confirm": func() int { return Confirm(w.env, false) },
		"rollback": func() int { return Rollback(w.env) },
		"apply":    func() int { Finish(w.env); return w.apply(change(false)) },
	} {
		w.out.Reset()
		code := run()
		if n := strings.Count(w.out.String(), "remove "+w.env.Root+pendingDir+" then"); code != ExitTrouble || n != 1 {
			t.Errorf("%s: exit code %d, said %d times:\n%s", name, code, n, &w.out)
		}
	}
}

func TestSealedTextIsWholeOrNot(t *testing.T) {
	for _, text := range []string{"", "a\n", "{}\n", sealMark + "\n"} {
		sealed := seal([]byte(text))
		if got, isWhole := unseal(sealed); !isWhole || string(got) != text {
			t.Errorf("%q comes back as %q, %v", text, got, isWhole)
		}
		for n := range sealed {
			if got, isWhole := unseal(sealed[:n]); isWhole {
				t.Errorf("%q, cut after %d bytes, gives %q", sealed, n, got)
			}
			other := bytes.Clone(sealed)
			other[n] ^= 0x20
			if got, isWhole := unseal(other); isWhole {
				t.Errorf("%q gives %q", other, got)
			}
		}
	}
	if got, isWhole := unseal(seal([]byte("no newline"))); !isWhole || string(got) != "no newline\n" {
		t.Errorf("%q, %v", got, isWhole)
	}
}
