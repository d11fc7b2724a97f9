package report

import (
	"io"
	"strings"

	"moat/internal/analyze"
)

// diffReport is a comparison as JSON; docs/diff.md describes it.
type diffReport struct {
	Same    bool         `json:"same"`
	Family  string       `json:"family"`
	Old     string       `json:"old"`
	New     string       `json:"new"`
	Changes []diffChange `json:"changes"`
	Lines   []diffLine   `json:"lines,omitempty"`
}

type diffChange struct {
	Kind     string       `json:"kind"` // opened, closed, changed
	Hook     string       `json:"hook"`
	Old      diffOutcome  `json:"old"`
	New      diffOutcome  `json:"new"`
	Packets  []string     `json:"packets"`
	More     int          `json:"more"`
	Doubtful bool         `json:"doubtful"`
	Example  *diffExample `json:"example,omitempty"`
}

type diffOutcome struct {
	Verdict string `json:"verdict"`
	With    string `json:"with,omitempty"`
}

type diffExample struct {
	Packet   string      `json:"packet"`
	Possible bool        `json:"possible"`
	Old      *auditPlace `json:"old_decided_by,omitempty"`
	New      *auditPlace `json:"new_decided_by,omitempty"`
}

type diffLine struct {
	Added bool   `json:"added"`
	Table string `json:"table"`
	Chain string `json:"chain,omitempty"`
	Text  string `json:"text"`
}

// DiffJSON writes a comparison as one JSON object.
func DiffJSON(w io.Writer, d *analyze.Diff, o DiffOptions) error {
	out := diffReport{Same: len(d.Changes) == 0, Family: familyJSON(d.Old.Family), Old: d.Old.Source, New: d.New.Source, Changes: []diffChange{}}
	for i := range d.Changes {
		out.Changes = append(out.Changes, changeJSON(d, &d.Changes[i]))
	}
	if o.Lines {
		for _, l := range analyze.LineDiff(d.Old.Ruleset, d.New.Ruleset) {
			table, chain, _ := strings.Cut(l.Under, " ")
			out.Lines = append(out.Lines, diffLine{l.Added, table, chain, l.Line})
		}
	}
	return writeIndented(w, out)
}

func changeJSON(d *analyze.Diff, c *analyze.Change) diffChange {
	out := diffChange{
		Kind: changeKind(c), Hook: c.Way.Hook().Chain(), Old: outcomeJSON(c.Old), New: outcomeJSON(c.New),
		Packets: []string{}, More: c.More, Doubtful: c.Doubtful,
	}
	for i := range c.Parts {
		out.Packets = append(out.Packets, analyze.Describe(&c.Parts[i], d.Old.Family))
	}
	if e := c.Example; e != nil {
		out.Example = &diffExample{Packet: e.Text, Possible: e.Possible, Old: decidedJSON(e.Old), New: decidedJSON(e.New)}
	}
	return out
}

func outcomeJSON(o analyze.Outcome) diffOutcome { return diffOutcome{o.Verdict.String(), o.With} }

// decidedJSON is the rule that decided; nil if that was not one alone.
func decidedJSON(r analyze.Ref) *auditPlace {
	if r.Table == "" {
		return nil
	}
	p := placeJSON(r)
	return &p
}
