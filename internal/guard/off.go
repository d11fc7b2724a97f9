package guard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// offFile says that the guard is off. /run is empty after a boot.
const offFile = "/run/moat/guard-off"

// Off reports whether the guard was switched off since the last boot.
func Off(root string) (bool, error) {
	_, err := os.Stat(root + offFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Switch turns the guard on, or off until the next boot, and logs it.
func Switch(root string, on bool) error {
	path := root + offFile
	if on {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			logLine(root, "switched on")
		}
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	logLine(root, "switched off until the next boot")
	return nil
}
