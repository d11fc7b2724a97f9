package commit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"moat/internal/persist"
)

// Each text of a journal is there twice, in the journal's folder and in copyDir
// within it, so that a damaged file is survived: bits that rot, a block that
// cannot be read, the half of a file.
const copyDir = "copy"

// sealMark begins the last line of a text that is whole, and the sum of what is
// before follows. For iptables-restore it is a comment.
const sealMark = "# sha256 "

var errNotWhole = errors.New("its text and its checksum do not agree")

// seal adds the last line, and ends the one before it.
func seal(text []byte) []byte {
	text = slices.Clip(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return fmt.Appendf(text, "%s%x\n", sealMark, sha256.Sum256(text))
}

// unseal gives what was sealed; false if that is damaged.
func unseal(sealed []byte) (text []byte, isWhole bool) {
	at := len(sealed) - len(seal(nil))
	if at < 0 {
		return nil, false
	}
	text = sealed[:at:at]
	return text, bytes.Equal(seal(text), sealed)
}

// readEither reads a text from whichever of its two files is whole. harm says
// what is wrong with the first if it is not that; "" if nothing is. The error is
// fs.ErrNotExist if neither file is there.
func readEither(read func(name string) ([]byte, error), name string) (text []byte, harm string, err error) {
	for _, at := range [...]string{name, copyDir + "/" + name} {
		sealed, failed := read(at)
		if failed == nil {
			text, isWhole := unseal(sealed)
			if isWhole {
				return text, harm, nil
			}
			failed = errNotWhole
		}
		harm = fmt.Sprintf("%s was damaged, and its copy was used: %v", name, cause(failed))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: %w", at, cause(failed))
		}
	}
	return nil, "", err
}

// cause is an error without the path, of which the caller knows a better one.
func cause(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	if at := (*os.LinkError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}

// read gives a text of the journal.
func (p *pending) read(name string) ([]byte, error) {
	text, harm, err := readEither(func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(p.dir, name)) }, name)
	p.note(harm)
	return text, err
}

// note keeps a line about what was damaged, for who is told how the change ended.
func (p *pending) note(harm string) {
	if harm != "" && !slices.Contains(p.harm, harm) {
		p.harm = append(p.harm, harm)
	}
}

// write puts a text into the journal's folder: first in one place, then in the
// other, so that one of them has the text of before or after.
func (p *pending) write(name string, text []byte) error {
	for _, at := range [...]string{name, copyDir + "/" + name} {
		if err := (persist.Writer{}).WriteFile(filepath.Join(p.dir, at), seal(text)); err != nil {
			return err
		}
	}
	return nil
}

// writeTwice puts texts into a folder that nobody knows yet.
func writeTwice(dir string, texts map[string][]byte) error {
	sealed := make(map[string][]byte)
	for name, text := range texts {
		sealed[name] = seal(text)
	}
	copies := filepath.Join(dir, copyDir)
	if err := os.Mkdir(copies, 0o700); err != nil {
		return err
	}
	return errors.Join(writeNew(copies, sealed), writeNew(dir, sealed))
}
