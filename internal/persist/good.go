package persist

import (
	"bytes"
	"errors"
	"io/fs"
)

// GoodSuffix is added to a rules file's name for its last good version. It
// lies beside the rules file, since that place is there whenever the rules
// file is: /var may be mounted after the firewall has to stand.
const GoodSuffix = ".good"

// keepGood remembers text as the last good version of the rules file at path.
// It is a copy, never a link: editors and "iptables-save > rules.v4" change a
// file in place. Text that is there already is not written again, so a
// read-only /etc troubles nobody until the rules change.
func keepGood(w Writer, path string, text []byte) error {
	if old, err := readAll(path + GoodSuffix); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return w.WriteFile(path+GoodSuffix, text)
}

// readGood gives the last good version. isThere is false, without an error,
// when none was ever kept.
func readGood(path string) (text []byte, isThere bool, err error) {
	text, err = readAll(path + GoodSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return text, err == nil, err
}

// sameRules says if two texts differ in comments and counters of chains at
// most: what two saves of an unchanged firewall differ in.
func sameRules(a, b []byte) bool {
	return bytes.Equal(significant(a), significant(b))
}

func significant(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		if bytes.HasPrefix(line, []byte(":")) {
			line, _, _ = bytes.Cut(line, []byte(" ["))
		}
		out = append(out, bytes.TrimRight(line, "\r\n ")...)
		out = append(out, '\n')
	}
	return out
}
