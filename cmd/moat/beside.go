package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"moat/internal/host"
	"moat/internal/load"
	"moat/internal/rule"
)

// warnBeside tells what decides about packets of the live host beside the rules
// that a command looks at: other tables of nf_tables, and iptables-legacy. An
// answer that says ACCEPT is true of iptables' rules alone then.
func warnBeside(w io.Writer, command string, families ...rule.Family) {
	var lines []string
	for _, f := range families {
		lines = append(lines, tablesBeside(f)...)
		legacy, err := hasLegacyRules(f)
		if legacy {
			lines = append(lines, "rules of "+f.Program()+"-legacy are in force too, and are not looked at; "+f.Program()+"-legacy-save shows them")
		}
		if err != nil {
			lines = append(lines, "what else decides about packets cannot be read: "+err.Error())
		}
	}
	warnOnce(w, command, lines)
}

// warnTablesBeside is warnBeside without iptables-legacy, of which audit has a
// finding.
func warnTablesBeside(w io.Writer, command string, families ...rule.Family) {
	var lines []string
	for _, f := range families {
		lines = append(lines, tablesBeside(f)...)
	}
	warnOnce(w, command, lines)
}

// tablesBeside is a line for each other table of nf_tables that sees packets of a
// family. Without the right to read them nothing is said: the rules could not be
// read either.
func tablesBeside(f rule.Family) (lines []string) {
	tables, err := load.Beside(f)
	for _, t := range tables {
		lines = append(lines, "table "+t+" of nf_tables sees the packets too, and is not looked at; nft list ruleset shows it")
	}
	if err != nil && !errors.Is(err, load.ErrNotPermitted) {
		lines = append(lines, "what else decides about packets cannot be read: "+err.Error())
	}
	return lines
}

// warnOnce prints lines, each once.
func warnOnce(w io.Writer, command string, lines []string) {
	for i, line := range lines {
		if !slices.Contains(lines[:i], line) {
			fmt.Fprintln(w, "moat: "+command+": warning: "+line)
		}
	}
}

// hasLegacyRules reports whether iptables-legacy has rules, or a policy that is
// not ACCEPT. Tables that its program is not there to read are taken to have some.
func hasLegacyRules(f rule.Family) (bool, error) {
	tables, err := host.LegacyTables(f)
	if err != nil || len(tables) == 0 {
		return false, err
	}
	saved, err := host.LegacyRules(f)
	if errors.Is(err, host.ErrNoLegacyProgram) {
		return true, nil
	}
	for line := range bytes.Lines(saved) {
		if bytes.HasPrefix(line, []byte("-A ")) || bytes.HasPrefix(line, []byte(":")) && bytes.Contains(line, []byte(" DROP ")) {
			return true, err
		}
	}
	return false, err
}
