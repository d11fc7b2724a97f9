package report

import (
	"encoding/json"
	"io"
	"strings"

	"moat/internal/rule"
)

// writeJSON writes a value in one line. Rules have < and > in them, which need
// no escape outside of HTML.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeIndented writes one JSON value over several lines, for people to read too.
func writeIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// familyJSON is a family as all JSON names it: "ipv4" or "ipv6".
func familyJSON(f rule.Family) string { return strings.ToLower(f.Name()) }
