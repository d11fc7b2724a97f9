package report

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"

	"moat/internal/analyze"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// ExposureOptions say how an exposure is printed.
type ExposureOptions struct {
	Color bool
	Names *netdb.DB // of services; nil reads /etc
}

// exposureRow is an opening in words.
type exposureRow struct {
	port, proto, service, from, by, listens string
	families                                []rule.Family
	opening                                 *analyze.Opening
}

// ExposureText writes a table of who may open what, then what becomes of
// everything else.
func ExposureText(w io.Writer, e *analyze.Exposure, o ExposureOptions) error {
	t := exposureTable{e: e, o: o}
	var out bytes.Buffer
	here, on := t.rows(false), t.rows(true)
	if len(here) == 0 {
		out.WriteString("nothing on this host can be opened from elsewhere\n")
	} else {
		t.write(&out, here, "FROM")
	}
	if len(on) > 0 {
		out.WriteString("\nsent on to other hosts:\n")
		t.write(&out, on, "FROM")
	}
	t.rest(&out)
	_, err := w.Write(out.Bytes())
	return err
}

type exposureTable struct {
	e *analyze.Exposure
	o ExposureOptions
}

// rows are the openings of this host, or those that lead on; what both families
// have alike is one row.
func (t *exposureTable) rows(forwarded bool) (rows []exposureRow) {
	for i := range t.e.Openings {
		o := &t.e.Openings[i]
		if o.Forwarded != forwarded {
			continue
		}
		r := t.row(o)
		same := slices.IndexFunc(rows, func(x exposureRow) bool {
			return x.port == r.port && x.proto == r.proto && x.from == r.from && x.listens == r.listens && !slices.Contains(x.families, o.Subject.Family)
		})
		if same < 0 {
			rows = append(rows, r)
			continue
		}
		rows[same].families = append(rows[same].families, r.families...)
		if rows[same].by != r.by {
			rows[same].by += "; " + o.Subject.Family.Name() + " " + r.by
		}
	}
	return rows
}

// row writes an opening's columns.
func (t *exposureTable) row(o *analyze.Opening) exposureRow {
	d := analyze.Describer(o.Subject.Family)
	r := exposureRow{opening: o, families: []rule.Family{o.Subject.Family}, by: byWords(o.By)}
	r.port, r.proto, r.service = t.ports(o, d), protoWords(o, d), t.services(o)
	r.from = sourceWords(o, d)
	if o.Leads != "" {
		r.by += ", sent to " + o.Leads
	}
	if len(o.Limited) > 0 {
		r.by += ", limited by " + strings.Join(o.Limited, " and ")
	}
	if t.e.Listeners != nil && !o.Forwarded {
		var names []string
		for _, l := range t.e.Takers(o) {
			name := l.Program
			if name == "" {
				name = "a program"
			}
			if !isOnePort(o) {
				name += ":" + strconv.Itoa(int(l.Port))
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if r.listens = strings.Join(names, ","); r.listens == "" {
			r.listens = "-"
		}
	}
	return r
}

func isOnePort(o *analyze.Opening) bool {
	_, one := space.Single(o.Packets.Values(space.DPort))
	return one
}

func (t *exposureTable) ports(o *analyze.Opening, d *space.Describer) string {
	switch v := o.Packets.Values(space.DPort); {
	case v != nil:
		return d.Values(space.DPort, v)
	case o.Packets.Values(space.ICMP) != nil:
		return d.Values(space.ICMP, o.Packets.Values(space.ICMP))
	}
	return "any"
}

func protoWords(o *analyze.Opening, d *space.Describer) string {
	if text := d.Values(space.Proto, o.Packets.Values(space.Proto)); text != "" {
		return strings.ReplaceAll(text, "protocol ", "")
	}
	return "any"
}

// maxNamed is of how many ports the services are named.
const maxNamed = 4

// services names the services of an opening's ports, if they are few.
func (t *exposureTable) services(o *analyze.Opening) string {
	proto, one := o.Single()
	names := t.o.Names
	if names == nil {
		names = &netdb.DB{}
		t.o.Names = names
	}
	word := netdb.BuiltinProtocolName(proto)
	var list []string
	for lo, hi := range space.Runs(o.Packets.Values(space.DPort)) {
		for n := lo.Lo; n <= hi.Lo; n++ {
			if len(list) == maxNamed || hi.Lo-lo.Lo >= maxNamed || !one {
				return ""
			}
			name := names.ServiceName(uint16(n), word)
			if name == "" {
				name = "?"
			}
			list = append(list, name)
		}
	}
	if text := strings.Join(list, ","); strings.Trim(text, "?,") != "" {
		return text
	}
	return ""
}

// sourceWords says who may open it: networks and interfaces, and what else is asked.
func sourceWords(o *analyze.Opening, d *space.Describer) string {
	b := o.Packets
	text := d.Values(space.Src, b.Values(space.Src))
	if text == "" {
		text = "any"
	}
	if in := d.Values(space.In, b.Values(space.In)); in != "" {
		text += " in " + in
	}
	if to := d.Values(space.Dst, b.Values(space.Dst)); to != "" {
		text += " to " + to
	}
	for _, dim := range [...]space.Dim{space.Src, space.Dst, space.In, space.Proto, space.DPort, space.ICMP} {
		b, _ = b.Replace(dim, nil)
	}
	if !b.IsAll() {
		text += " (" + strings.TrimPrefix(d.Box(&b), space.Everything+" ") + ")"
	}
	if len(o.When) > 0 {
		text += " when " + strings.Join(o.When, " and ")
	}
	return text
}

// byWords is "INPUT 3" or "policy of INPUT", with the table unless that is filter.
func byWords(r analyze.Ref) string {
	table := ""
	if r.Table != "filter" {
		table = r.Table + " "
	}
	if r.Rule == 0 {
		return "policy of " + table + r.Chain
	}
	return table + r.Chain + " " + strconv.Itoa(r.Rule)
}

// write writes rows in columns, which are as wide as they must be.
func (t *exposureTable) write(out *bytes.Buffer, rows []exposureRow, from string) {
	lines := [][]string{{"PORT", "PROTO", "SERVICE", from, "DECIDED BY"}}
	families, listens := len(t.e.Subjects) > 1, t.e.Listeners != nil && !rows[0].opening.Forwarded
	if families {
		lines[0] = append([]string{"FAMILY"}, lines[0]...)
	}
	if listens {
		lines[0] = append(lines[0], "LISTENS")
	}
	for _, r := range rows {
		line := []string{r.port, r.proto, r.service, r.from, r.by}
		if families {
			word := "both"
			if len(r.families) == 1 {
				word = r.families[0].Name()
			}
			line = append([]string{word}, line...)
		}
		if listens {
			line = append(line, r.listens)
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, word := range l {
			widths[i] = max(widths[i], min(len(word), maxColumn))
		}
	}
	for n, l := range lines {
		var b strings.Builder
		for i, word := range l {
			b.WriteString(word + strings.Repeat(" ", max(0, widths[i]-len(word))+2))
		}
		text := strings.TrimRight(b.String(), " ")
		if n == 0 && t.o.Color {
			text = "\x1b[" + bold + "m" + text + "\x1b[0m"
		}
		out.WriteString(text + "\n")
	}
}

// maxColumn is as wide as a column gets; what is wider stands out of it.
const maxColumn = 40

// rest says what becomes of everything else.
func (t *exposureTable) rest(out *bytes.Buffer) {
	for _, s := range t.e.Subjects {
		name := ""
		if len(t.e.Subjects) > 1 {
			name = " (" + s.Family.Name() + ")"
		}
		at := slices.IndexFunc(t.e.Rest, func(r analyze.Rest) bool { return r.Subject == s })
		if at < 0 {
			out.WriteString("\nno connection to this host is refused" + name + "\n")
			continue
		}
		r := &t.e.Rest[at]
		out.WriteString("\neverything else" + name + ": " + pastOf(r.Verdict) + " by " + the(byWords(r.By)))
		more := 0
		for _, x := range t.e.Rest[at+1:] {
			if x.Subject == s {
				more++
			}
		}
		if more > 0 {
			out.WriteString(", some by " + count(more, "other rule"))
		}
		out.WriteString("\n")
	}
}

// the puts the article where one says it.
func the(by string) string {
	if strings.HasPrefix(by, "policy of ") {
		return "the " + by
	}
	return by
}

// pastOf is what was done to a packet.
func pastOf(v simulate.Verdict) string {
	return [...]string{"undecided", "accepted", "dropped", "rejected", "queued"}[v%5]
}
