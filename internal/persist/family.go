package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"moat/internal/rule"
)

// outcome is how one family or plugin fared.
type outcome int

const (
	done     outcome = iota // as asked
	fellBack                // the last good version was loaded instead
	didFail                 // nothing was changed
)

// rulesPath is the rules file of a family as the kernel and the admin know it,
// below the root of the run.
func (r *run) rulesPath(f rule.Family) string {
	if f == rule.IPv6 {
		return r.root + "/etc/iptables/rules.v6"
	}
	return r.root + "/etc/iptables/rules.v4"
}

// family does one action for one family.
func (r *run) family(a action, f rule.Family) outcome {
	switch a {
	case actionStart:
		return r.load(f)
	case actionSave:
		return r.save(f)
	default:
		return r.flush(f)
	}
}

// load puts the rules file into the kernel or, when it is broken, the last
// good version of it.
func (r *run) load(f rule.Family) outcome {
	path := r.rulesPath(f)
	text, err := readAll(path)
	good, hasGood, goodErr := readGood(path)
	if errors.Is(err, fs.ErrNotExist) && !isLink(path) {
		return r.skipMissing(f, path, hasGood)
	}
	if err == nil && len(text) == 0 && len(significant(good)) > 0 {
		// We never write an empty file, but a full disk makes one of
		// "iptables-save > rules.v4".
		err = fmt.Errorf("%s: empty, although it held rules before; a line \"# no rules\" in it says that none are meant", path)
	}
	if err == nil {
		err = r.restore(f, path, text)
	}
	if err == nil {
		r.rememberGood(path, text)
		return done
	}
	r.report.fail("%v", err)
	switch {
	case IsBarred(err): // the file is right, and the last good version no answer
		r.reportUnloaded(f)
		return didFail
	case goodErr != nil:
		r.report.fail("%s: last good version not readable: %v", f.Name(), goodErr)
	case !hasGood:
		r.report.fail("%s: there is no last good version (%s%s)", f.Name(), path, GoodSuffix)
	case bytes.Equal(good, text):
		r.report.fail("%s: the last good version is the same text, so the cause is not in the file", f.Name())
	default:
		return r.loadGood(f, path, good)
	}
	r.reportUnloaded(f)
	return didFail
}

// IsBarred says if an error is the refusal of a change that could have been made:
// the guard's, whose error says so by itself.
func IsBarred(err error) bool {
	var refusal interface {
		error
		Barred() bool
	}
	return errors.As(err, &refusal) && refusal.Barred()
}

// loadGood is the second attempt of load.
func (r *run) loadGood(f rule.Family, path string, good []byte) outcome {
	if err := r.restore(f, path+GoodSuffix, good); err != nil {
		r.report.fail("%v", err)
		r.reportUnloaded(f)
		return didFail
	}
	r.report.fail("%s rules: LAST GOOD VERSION LOADED from %s%s; mend %s, then run \"%s start\"",
		f.Name(), path, GoodSuffix, path, r.program)
	return fellBack
}

func (r *run) reportUnloaded(f rule.Family) {
	r.report.fail("%s rules: NOTHING LOADED, the kernel's %s rules are as they were before", f.Name(), f.Name())
}

// skipMissing is for a rules file that is not there: taking it away is how
// admins turn loading off, so the last good version stays where it is.
func (r *run) skipMissing(f rule.Family, path string, hasGood bool) outcome {
	fmt.Fprintf(r.stdout, "Warning: skipping %s (no rules to load)\n", f.Name())
	if hasGood {
		r.report.warn("%s: not there, %s rules not loaded; the last good version is %s%s", path, f.Name(), path, GoodSuffix)
	}
	return done
}

func (r *run) restore(f rule.Family, name string, text []byte) error {
	return r.firewall.Restore(f, name, bytes.NewReader(text), RestoreOptions{NoFlush: r.settings.restoreNoFlush(f)})
}

// rememberGood keeps text as last good version. That it cannot is a warning
// only: the rules themselves are loaded or saved.
func (r *run) rememberGood(path string, text []byte) {
	if err := keepGood(r.writer, path, text); err != nil {
		r.report.warn("last good version not kept: %v", err)
	}
}

// noTables is what save writes when the kernel has no table at all, so that an
// empty file always means a broken one.
const noTables = "# No tables were in the kernel.\n"

// save writes the kernel's rules to the rules file. What could not be loaded
// again is not written.
func (r *run) save(f rule.Family) outcome {
	if r.settings.skipSave(f) {
		r.report.info("%s rules not saved: %s_SKIP_SAVE=yes", f.Name(), settingPrefix(f))
		return done
	}
	path := r.rulesPath(f)
	var text bytes.Buffer
	if err := r.firewall.Save(f, &text, false); err != nil {
		r.report.fail("%s rules not saved, %s is as it was: %v", f.Name(), path, err)
		return didFail
	}
	if text.Len() == 0 {
		text.WriteString(noTables)
	}
	if err := r.firewall.Check(f, "saved text", bytes.NewReader(text.Bytes())); err != nil {
		r.report.fail("%s rules not saved, %s is as it was: they could not be loaded again: %v", f.Name(), path, err)
		return didFail
	}
	if err := r.writeRules(path, text.Bytes()); err != nil {
		r.report.fail("%s rules: %v", f.Name(), err)
		return didFail
	}
	r.rememberGood(path, text.Bytes())
	r.report.info("saved %s rules to %s", f.Name(), path)
	return done
}

// writeRules replaces the rules file. The earlier version is kept when it has
// other rules; else saving twice would push it out.
func (r *run) writeRules(path string, text []byte) error {
	if err := os.MkdirAll(r.root+"/etc/iptables", 0o755); err != nil {
		return err
	}
	w := r.writer
	old, err := readAll(path)
	w.KeepEarlier = err != nil || !sameRules(old, text)
	return w.WriteFile(path, text)
}

func (r *run) flush(f rule.Family) outcome {
	if err := r.firewall.Flush(f); err != nil {
		r.report.fail("%s rules not flushed: %v", f.Name(), err)
		return didFail
	}
	return done
}

// isLink says if path is a symbolic link, be it to nothing.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
