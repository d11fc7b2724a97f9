package netdb

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// numbered is a number with a name: a user, a group, a routing realm.
type numbered struct {
	name string
	id   uint32
}

// numberOf finds a name's number.
func numberOf(list []numbered, name string) (uint32, bool) {
	for _, n := range list {
		if n.name == name {
			return n.id, true
		}
	}
	return 0, false
}

// nameOf finds a number's first name, "" if it has none.
func nameOf(list []numbered, id uint32) string {
	for _, n := range list {
		if n.id == id {
			return n.name
		}
	}
	return ""
}

// accounts reads a file of NAME:PASSWORD:NUMBER:… lines.
func (d *DB) accounts(file string) []numbered {
	return d.numberedFile(file, func(line string) (name, number string) {
		fields := strings.SplitN(line, ":", 4)
		if len(fields) < 4 || strings.HasPrefix(line, "#") {
			return "", ""
		}
		return fields[0], fields[2]
	})
}

// routing reads a file of iproute2: lines of a number, in any base of C, and a name.
func (d *DB) routing(file string) []numbered {
	return d.numberedFile(file, func(line string) (name, number string) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) >= 2 {
			return fields[1], fields[0]
		}
		return "", ""
	})
}

// numberedFile reads a file once; split cuts a line into name and number, ""
// where it has none. A file that cannot be read has no names, nor has a nil DB.
func (d *DB) numberedFile(file string, split func(line string) (name, number string)) []numbered {
	if d == nil {
		return nil
	}
	if list, ok := d.numbers[file]; ok {
		return list
	}
	var list []numbered
	if data, err := os.ReadFile(d.path(file)); err == nil {
		for line := range bytes.SplitSeq(data, []byte{'\n'}) {
			name, number := split(string(line))
			if id, err := strconv.ParseUint(number, 0, 32); err == nil && name != "" {
				list = append(list, numbered{name, uint32(id)})
			}
		}
	}
	if d.numbers == nil {
		d.numbers = make(map[string][]numbered, 2)
	}
	d.numbers[file] = list
	return list
}
