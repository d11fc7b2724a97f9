package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Mount shows the file or directory From at To, to one child only. Where To
// does not exist on the machine the child sees a copy of its parent directory
// (the same files, mounted one by one) that has it.
type Mount struct{ From, To string }

// privateMounts gives the calling thread a mount namespace of its own with
// the given mounts. The thread must never be used for anything else.
func privateMounts(mounts []Mount) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	// Nothing that is mounted here may reach the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	for _, m := range mounts {
		if err := m.mount(); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.From, m.To, err)
		}
	}
	return nil
}

func (m Mount) mount() error {
	from, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if err := makeTarget(m.To, from.IsDir()); err != nil {
		return err
	}
	return bind(m.From, m.To)
}

// bind shows from at to, with all that is mounted below it: in a user
// namespace the kernel refuses to leave those out.
func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, to, err)
	}
	return nil
}

// makeTarget makes sure that something exists at path, without touching the
// machine's directories.
func makeTarget(path string, isDir bool) error {
	_, err := os.Lstat(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeTarget(parent, true); err != nil {
		return err
	}
	if err := shadow(parent); err != nil {
		return err
	}
	return emptyAt(path, isDir)
}

func emptyAt(path string, isDir bool) error {
	if isDir {
		return os.Mkdir(path, 0o755)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// shadow replaces a directory by a new one in memory that shows the same
// files. The old one is reached through a descriptor while the new one lies
// over it.
func shadow(dir string) error {
	old, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer old.Close()
	entries, err := old.ReadDir(-1)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("tmpfs on %s: %w", dir, err)
	}
	below := fmt.Sprintf("/proc/thread-self/fd/%d", old.Fd())
	for _, e := range entries {
		from, to := filepath.Join(below, e.Name()), filepath.Join(dir, e.Name())
		if err := showEntry(e, from, to); err != nil {
			return err
		}
	}
	return nil
}

// showEntry shows one file of a shadowed directory; links are written again,
// since a relative one must keep its base.
func showEntry(e fs.DirEntry, from, to string) error {
	if e.Type()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	if err := emptyAt(to, e.IsDir()); err != nil {
		return err
	}
	return bind(from, to)
}
