// Package rulesets is rulesets as they are in the field, for tests and
// benchmarks: what ufw, firewalld, fail2ban, Docker and kube-proxy write, what
// an admin writes by hand, and large ones made by rule. The head of each file
// in testdata says where it comes from and how it was made.
//
// All files are what iptables-save prints, with the policies' counters at zero:
// restored and saved they are the same text, but for the order of the tables
// and the comments.
package rulesets

import (
	"embed"
	"fmt"
	"strings"

	"moat/internal/rule"
)

//go:embed testdata/*.rules
var files embed.FS

// File is a ruleset of one family in the format of iptables-save(8).
type File struct {
	Name   string // "web", "router", "ufw" …
	Family rule.Family
	Text   string
}

// FileName is the file's name in testdata: "ufw.v4.rules".
func (f File) FileName() string { return fileName(f.Name, f.Family) }

func fileName(name string, f rule.Family) string {
	if f == rule.IPv6 {
		return name + ".v6.rules"
	}
	return name + ".v4.rules"
}

// Accounts are the names of the accounting objects that rules of the file
// refer to by "-m nfacct", each once; the kernel refuses the file without them.
func (f File) Accounts() []string {
	var names []string
	seen := map[string]bool{}
	for line := range strings.Lines(f.Text) {
		_, after, _ := strings.Cut(line, " --nfacct-name ")
		if words := strings.Fields(after); len(words) > 0 && line[0] == '-' && !seen[words[0]] {
			seen[words[0]] = true
			names = append(names, words[0])
		}
	}
	return names
}

// All gives all files by name, IPv4 before IPv6.
func All() ([]File, error) {
	entries, err := files.ReadDir("testdata")
	if err != nil {
		return nil, err
	}
	list := make([]File, 0, len(entries))
	for _, e := range entries {
		f := File{Family: rule.IPv4}
		var ok bool
		if f.Name, ok = strings.CutSuffix(e.Name(), ".v4.rules"); !ok {
			f.Family = rule.IPv6
			if f.Name, ok = strings.CutSuffix(e.Name(), ".v6.rules"); !ok {
				return nil, fmt.Errorf("testdata/%s: the name must end in .v4.rules or .v6.rules", e.Name())
			}
		}
		if f, err = Get(f.Name, f.Family); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// Get gives the file of a name and family. The error is fs.ErrNotExist for one
// that there is not.
func Get(name string, f rule.Family) (File, error) {
	text, err := files.ReadFile("testdata/" + fileName(name, f))
	return File{Name: name, Family: f, Text: string(text)}, err
}
