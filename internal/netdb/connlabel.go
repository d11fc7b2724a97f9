package netdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// connLabels are the names of connection labels, each read once.
type connLabels struct {
	read   bool
	warned bool
	err    error
	names  []numbered
}

// maxConnLabel bounds the labels in the file; the kernel has fewer.
const maxConnLabel = 1023

// ConnLabel is the number of a connection label by its name in
// /etc/xtables/connlabel.conf; the error says why the file cannot be read.
func (d *DB) ConnLabel(name string) (label uint16, ok bool, err error) {
	d.loadConnLabels()
	n, ok := numberOf(d.labels.names, name)
	return uint16(n), ok, d.labels.err
}

// ConnLabelName is the name of a connection label; "" if it has none. A file that
// cannot be read is told of by Warn, once.
func (d *DB) ConnLabelName(label uint16) string {
	d.loadConnLabels()
	if d.labels.err != nil && !d.labels.warned {
		d.labels.warned = true
		if d.Warn != nil {
			d.Warn("Warning: " + d.labels.err.Error())
		}
	}
	return nameOf(d.labels.names, uint32(label))
}

// loadConnLabels reads lines "NUMBER NAME". Names are of letters, digits,
// blanks and dashes; lines that are not so, that name a number again or use a
// name again are passed over. (Found by experiment with iptables 1.8.9.)
func (d *DB) loadConnLabels() {
	l := &d.labels
	if l.read {
		return
	}
	l.read = true
	path := d.path("xtables/connlabel.conf")
	data, err := os.ReadFile(path)
	if err != nil {
		l.err = fmt.Errorf("cannot open %s: %w", path, err)
		if errors.Is(err, fs.ErrNotExist) { // in the words of the C library
			l.err = fmt.Errorf("cannot open %s: No such file or directory", path)
		}
		return
	}
	for line := range bytes.Lines(data) {
		n, name, ok := connLabelLine(string(line))
		if ok && nameOf(l.names, n) == "" {
			if _, used := numberOf(l.names, name); !used {
				l.names = append(l.names, numbered{name, n})
			}
		}
	}
}

// connLabelLine reads one line of the file.
func connLabelLine(line string) (n uint32, name string, ok bool) {
	line = strings.Trim(line, " \t\r\n")
	end := strings.IndexFunc(line, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F' || r == 'x')
	})
	if end <= 0 {
		return 0, "", false
	}
	number, err := strconv.ParseUint(line[:end], 0, 32)
	if err != nil || number > maxConnLabel {
		return 0, "", false
	}
	name = strings.TrimLeft(line[end:], " \t")
	for _, c := range name {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == ' ' || c == '-') {
			return 0, "", false
		}
	}
	return uint32(number), name, name != ""
}
