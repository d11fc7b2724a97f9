package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// FileMode is the mode of every file written here: rules tell an attacker
// what is open, so only root and its group read them.
const FileMode fs.FileMode = 0o640

// BackupSuffix is added to a file's name for the version before the last write.
const BackupSuffix = ".bak"

// staleAfter is the age at which a temporary file must be the leftover of a
// killed process, not the work of another one.
const staleAfter = time.Hour

// step names a moment of a write; a test may end the process at each.
type step string

const (
	stepCreated      step = "temporary file created"
	stepHalfWritten  step = "half of the text written"
	stepWritten      step = "text written"
	stepSynced       step = "temporary file on disk"
	stepBackupLinked step = "earlier version linked"
	stepBackupKept   step = "earlier version renamed to its backup name"
	stepRenamed      step = "new version in place"
	stepDirSynced    step = "folder on disk"
)

// steps lists all moments in their order.
var steps = []step{stepCreated, stepHalfWritten, stepWritten, stepSynced, stepBackupLinked, stepBackupKept, stepRenamed, stepDirSynced}

// Writer replaces files so that a reader, a crash or a full disk meets the old
// text or the new text and nothing between. The zero value is ready.
type Writer struct {
	// KeepEarlier leaves the earlier version under the name with BackupSuffix.
	KeepEarlier bool

	after func(step) // called after each moment; nil in production
}

// WriteFile writes text to path: a new file in the same folder, fsync, mode
// FileMode, the old file's owner and group, rename, fsync of the folder. A
// symbolic link at path stays; the file that it names is replaced. On an error
// path holds what it held before.
func (w Writer) WriteFile(path string, text []byte) error {
	target, err := resolveLinks(path)
	if err != nil {
		return err
	}
	removeStale(target)
	tmp, err := w.writeTemporary(target, text)
	if err != nil {
		return fmt.Errorf("%s: not written, left as it was: %w", path, err)
	}
	if err := w.swap(tmp, target); err != nil {
		return errors.Join(fmt.Errorf("%s: not written, left as it was: %w", path, err), removeIfThere(tmp))
	}
	w.reached(stepRenamed)
	if err := SyncDir(filepath.Dir(target)); err != nil {
		return fmt.Errorf("%s: written, but its folder may not be on disk yet: %w", path, err)
	}
	w.reached(stepDirSynced)
	return nil
}

func (w Writer) reached(s step) {
	if w.after != nil {
		w.after(s)
	}
}

// writeTemporary leaves the text on disk under a new name beside target and
// gives that name; after an error there is no such file.
func (w Writer) writeTemporary(target string, text []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(target), temporaryPattern(target))
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), removeIfThere(f.Name()))
		}
	}()
	w.reached(stepCreated)
	if err := f.Chmod(FileMode); err != nil {
		return "", err
	}
	if err := copyOwner(target, f); err != nil {
		return "", err
	}
	half := len(text) / 2
	if _, err := f.Write(text[:half]); err != nil {
		return "", err
	}
	w.reached(stepHalfWritten)
	if _, err := f.Write(text[half:]); err != nil {
		return "", err
	}
	w.reached(stepWritten)
	if err := f.Sync(); err != nil {
		return "", err
	}
	w.reached(stepSynced)
	return f.Name(), f.Close()
}

// swap puts the temporary file in target's place, keeping the earlier version
// if that is wanted and there is one.
func (w Writer) swap(tmp, target string) error {
	if w.KeepEarlier {
		if err := w.keepEarlier(target); err != nil {
			return fmt.Errorf("keeping the earlier version: %w", err)
		}
	}
	return os.Rename(tmp, target)
}

// keepEarlier gives target's present file a second name, target+BackupSuffix,
// in one rename. target itself is never without a file.
func (w Writer) keepEarlier(target string) error {
	link := target + BackupSuffix + ".new"
	if err := removeIfThere(link); err != nil {
		return err
	}
	switch err := os.Link(target, link); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // a file system without hard links (vfat, some overlays)
		return copyEarlier(target)
	}
	w.reached(stepBackupLinked)
	if err := os.Rename(link, target+BackupSuffix); err != nil {
		return errors.Join(err, removeIfThere(link))
	}
	w.reached(stepBackupKept)
	return nil
}

// copyEarlier is keepEarlier where hard links cannot be made.
func copyEarlier(target string) error {
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	return Writer{}.WriteFile(target+BackupSuffix, text)
}

// resolveLinks follows the symbolic links at path to the file that is to be
// written; that one need not exist yet, its folder must.
func resolveLinks(path string) (string, error) {
	const mostLinks = 40 // as the kernel: path_resolution(7)
	p := path
	for range mostLinks {
		to, err := os.Readlink(p)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL): // nothing there, or no link
			return p, nil
		case err != nil:
			return "", err
		case filepath.IsAbs(to):
			p = to
		default:
			p = filepath.Join(filepath.Dir(p), to)
		}
	}
	return "", &fs.PathError{Op: "write", Path: path, Err: syscall.ELOOP}
}

// copyOwner gives f the owner and group of the file at path, if there is one
// and they differ.
func copyOwner(path string, f *os.File) error {
	old, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	want, isUnix := old.Sys().(*syscall.Stat_t)
	have, isUnixToo := now.Sys().(*syscall.Stat_t)
	if !isUnix || !isUnixToo || (want.Uid == have.Uid && want.Gid == have.Gid) {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}

// SyncDir makes renames in a folder survive a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) { // file systems that have nothing to sync
		err = nil
	}
	return errors.Join(err, d.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// temporaryPattern is the name of temporary files for target, for
// os.CreateTemp. The dot keeps them out of globs.
func temporaryPattern(target string) string {
	return "." + filepath.Base(target) + ".*.new"
}

// removeStale removes what killed writers left beside target. It is tidying
// only: a file that cannot be removed harms nobody, so it reports nothing.
func removeStale(target string) {
	dir := filepath.Dir(target)
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	prefix, suffix, _ := strings.Cut(temporaryPattern(target), "*")
	for _, n := range names {
		if !strings.HasPrefix(n.Name(), prefix) || !strings.HasSuffix(n.Name(), suffix) {
			continue
		}
		if info, err := n.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > staleAfter {
			_ = os.Remove(filepath.Join(dir, n.Name()))
		}
	}
}

// readAll reads a whole rules file. The file is opened once, so that a rename
// meanwhile cannot mix two versions.
func readAll(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}
