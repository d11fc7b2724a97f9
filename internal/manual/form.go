package manual

import (
	"slices"
	"strings"

	"moat/internal/ext"
)

// form is how an option is written.
type form struct {
	not   bool     // "!" may stand before it
	names []string // with dashes, short ones first
	value string   // what follows; "" for nothing
}

// splitForm takes apart a form of the help tables: "[!] --source -s address".
func splitForm(s string) form {
	var f form
	words := strings.Fields(s)
	for len(words) > 0 && (words[0] == "[!]" || strings.HasPrefix(words[0], "-")) {
		name, value, joined := strings.Cut(words[0], "=")
		switch {
		case name == "[!]":
			f.not = true
		case joined:
			f.names, f.value = append(f.names, name), strings.Trim(value, "<>")
		default:
			f.names = append(f.names, name)
		}
		words = words[1:]
	}
	if len(words) > 0 {
		f.value = strings.Join(words, " ")
	}
	slices.SortStableFunc(f.names, func(a, b string) int { return min(len(a), 3) - min(len(b), 3) })
	return f
}

// optionForm is the form of an extension's option.
func optionForm(o *ext.Option) form {
	f := form{not: o.Not, names: []string{"--" + o.Name}, value: o.Value}
	for _, alias := range o.Aliases {
		f.names = append(f.names, "--"+alias)
	}
	if o.Optional {
		f.value = "[" + f.value + "]"
	}
	return f
}

// term is a form in roff.
func term(f form) string {
	var b strings.Builder
	if f.not {
		b.WriteString("[" + bold("!") + "] ")
	}
	for i, name := range f.names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(bold(name))
	}
	if f.value != "" {
		b.WriteString(" " + italic(f.value))
	}
	return b.String()
}

// markdown is a form in Markdown.
func (f form) markdown() string {
	s := "`" + strings.Join(f.names, "`, `")
	if f.value != "" {
		s += " " + f.value
	}
	s += "`"
	if f.not {
		s = "`[!]` " + s
	}
	return strings.ReplaceAll(s, "|", `\|`)
}

// familyNote says that something is for one family only.
func familyNote(only ext.Families) string {
	switch only {
	case ext.V4:
		return " (iptables only)"
	case ext.V6:
		return " (ip6tables only)"
	}
	return ""
}
