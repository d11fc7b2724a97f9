package analyze

import (
	"slices"

	"moat/internal/host"
	"moat/internal/load"
	"moat/internal/rule"
)

// NewSubject makes a ruleset that was loaded one to audit.
func NewSubject(r *load.Rules, live bool) *Subject {
	s := &Subject{Ruleset: r.Ruleset, Source: r.Source}
	if !live {
		s.LineOf = r.Line
	}
	return s
}

// AuditFiles reads files in save format, whose families are found from their
// text. Interfaces are those of the host that the files are for; nil: not told.
func AuditFiles(paths, interfaces []string) (in AuditInput, err error) {
	for _, path := range paths {
		r, err := load.File(path, load.Auto)
		if err != nil {
			return in, err
		}
		in.Subjects = append(in.Subjects, NewSubject(r, false))
	}
	if interfaces != nil && !slices.Contains(interfaces, "lo") {
		interfaces = append([]string{"lo"}, interfaces...)
	}
	in.Interfaces = interfaces
	return in, nil
}

// AuditLive reads the rules of this network namespace's kernel, both families,
// and what the host knows beside them.
func AuditLive() (in AuditInput, err error) {
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		r, err := load.Live(f)
		if err != nil {
			return in, err
		}
		in.Subjects = append(in.Subjects, NewSubject(r, true))
		l, err := readLegacy(f)
		if err != nil {
			return in, err
		}
		in.Legacy = append(in.Legacy, l)
	}
	if in.Facts, err = host.Read(); err != nil {
		return in, err
	}
	in.Listeners, err = host.Listeners()
	return in, err
}
