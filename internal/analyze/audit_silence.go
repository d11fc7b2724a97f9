package analyze

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"moat/internal/rule"
)

// SilenceMark is what a rule's comment says before the names of the findings
// that are not to be printed: "moat:ok shadowed", "moat:ok shadowed, useless",
// or "moat:ok all". Other words may stand before the mark and after the names.
const SilenceMark = "moat:ok"

// allFindings stands for every finding's name.
const allFindings = "all"

// Silence is a line of the config: findings that are not to be printed.
type Silence struct {
	Name   string      // of the finding, or "all"
	Family rule.Family // 0: both
	Table  string      // "": every one
	Chain  string      // "": every one
	Why    string      // the line's comment
	Source string      // "FILE:LINE"
}

// Silences are the lines of a config.
type Silences []Silence

// ParseSilences reads a config: on each line a finding's name (or "all"), then,
// if it is to hold there only, "ip" or "ip6", a table and a chain, then why
// behind a "#". source names the file in errors.
func ParseSilences(source string, data []byte) (Silences, error) {
	var list Silences
	number := 0
	for line := range bytes.Lines(data) {
		number++
		words, why, _ := strings.Cut(string(line), "#")
		fields := strings.Fields(words)
		if len(fields) == 0 {
			continue
		}
		s := Silence{Name: fields[0], Why: strings.TrimSpace(why), Source: fmt.Sprintf("%s:%d", source, number)}
		if !isFinding(s.Name) && s.Name != allFindings {
			return nil, fmt.Errorf("%s: there is no finding %q; moat audit --list prints all names", s.Source, s.Name)
		}
		if err := s.place(fields[1:]); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Source, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// place reads what stands behind the name.
func (s *Silence) place(words []string) error {
	if len(words) > 0 && (words[0] == rule.IPv4.String() || words[0] == rule.IPv6.String()) {
		s.Family = rule.IPv4
		if words[0] == rule.IPv6.String() {
			s.Family = rule.IPv6
		}
		words = words[1:]
	}
	if len(words) > 2 {
		return fmt.Errorf("%q is too much: NAME [ip|ip6] [TABLE [CHAIN]] # why", words[2])
	}
	if len(words) > 0 {
		if s.Table = words[0]; rule.FindLayout(s.Table) == nil {
			return fmt.Errorf("there is no table %q", s.Table)
		}
	}
	if len(words) > 1 {
		s.Chain = words[1]
	}
	return nil
}

// means reports whether the line is about a finding.
func (s *Silence) means(f *Finding) bool {
	return (s.Name == f.Name || s.Name == allFindings) && (s.Family == 0 || s.Family == f.Place.Family) &&
		(s.Table == "" || s.Table == f.Place.Table) && (s.Chain == "" || s.Chain == f.Place.Chain)
}

// silence marks the findings that are silenced.
func (r *Report) silence(in AuditInput) {
	for i := range r.Findings {
		f := &r.Findings[i]
		for j := range in.Silences {
			if in.Silences[j].means(f) {
				f.Silenced = in.Silences[j].Source
				break
			}
		}
		if f.Silenced == "" && f.subject != nil {
			f.Silenced = f.subject.silenced(f)
		}
	}
	for _, s := range in.Subjects {
		r.Warnings = append(append(r.Warnings, s.warnings...), s.wrongMarks()...)
	}
}

// silenced says by which rule's comment a finding is silenced: that of its own
// rule; for a finding about a chain, of any of its rules that names it.
func (s *Subject) silenced(f *Finding) string {
	t := s.Table(f.Place.Table)
	if t == nil {
		return ""
	}
	c := t.Chain(f.Place.Chain)
	if c == nil {
		return ""
	}
	for i, r := range c.Rules {
		if f.Place.Rule != 0 && f.Place.Rule != i+1 {
			continue
		}
		names, _ := silencedIn(commentOf(r))
		if slices.Contains(names, f.Name) || f.Place.Rule != 0 && slices.Contains(names, allFindings) {
			return fmt.Sprintf("the comment of %s %s rule %d", f.Place.Table, f.Place.Chain, i+1)
		}
	}
	return ""
}

// silencedIn gives the names behind the mark in a comment, and the first word
// behind it if that is no name.
func silencedIn(comment string) (names []string, wrong string) {
	_, behind, found := strings.Cut(comment, SilenceMark)
	if !found {
		return nil, ""
	}
	isGap := func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\t' }
	for word := range strings.FieldsFuncSeq(behind, isGap) {
		if !isFinding(word) && word != allFindings {
			if len(names) == 0 {
				wrong = word
			}
			return names, wrong
		}
		names = append(names, word)
	}
	return names, ""
}

// wrongMarks warns of marks that silence nothing.
func (s *Subject) wrongMarks() (list []string) {
	for _, t := range s.Tables {
		for _, c := range t.Chains {
			for i, r := range c.Rules {
				comment := commentOf(r)
				if !strings.Contains(comment, SilenceMark) {
					continue
				}
				if names, wrong := silencedIn(comment); len(names) == 0 {
					list = append(list, fmt.Sprintf("%s %s %s rule %d: %q behind %s is no finding's name; moat audit --list prints them",
						s.Family.Program(), t.Name, c.Name, i+1, wrong, SilenceMark))
				}
			}
		}
	}
	return list
}
