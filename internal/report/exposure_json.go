package report

import (
	"io"

	"moat/internal/analyze"
)

// exposureReport is an exposure as JSON; docs/diff.md describes it.
type exposureReport struct {
	Openings []exposureOpening `json:"openings"`
	Rest     []exposureRest    `json:"rest"`
}

type exposureOpening struct {
	Family    string             `json:"family"`
	Ports     string             `json:"ports"`
	Protocol  string             `json:"protocol"`
	Service   string             `json:"service,omitempty"`
	From      string             `json:"from"`
	Packets   string             `json:"packets"`
	Forwarded bool               `json:"forwarded"`
	Leads     string             `json:"leads_to,omitempty"`
	Limited   []string           `json:"limited_by,omitempty"`
	By        auditPlace         `json:"decided_by"`
	Listens   []exposureListener `json:"listens,omitempty"`
}

type exposureListener struct {
	Program string `json:"program"`
	PID     int    `json:"pid,omitempty"`
	Proto   string `json:"protocol"`
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

type exposureRest struct {
	Family  string     `json:"family"`
	Verdict string     `json:"verdict"`
	By      auditPlace `json:"decided_by"`
}

// ExposureJSON writes an exposure as one JSON object.
func ExposureJSON(w io.Writer, e *analyze.Exposure, o ExposureOptions) error {
	t := exposureTable{e: e, o: o}
	out := exposureReport{Openings: []exposureOpening{}, Rest: []exposureRest{}}
	for i := range e.Openings {
		p := &e.Openings[i]
		r := t.row(p)
		j := exposureOpening{
			Family: familyJSON(p.Subject.Family), Ports: r.port, Protocol: r.proto, Service: r.service, From: r.from,
			Packets: analyze.Describe(&p.Packets, p.Subject.Family), Forwarded: p.Forwarded, Leads: p.Leads, Limited: p.Limited, By: placeJSON(p.By),
		}
		for _, l := range e.Takers(p) {
			proto := "tcp"
			if l.Proto == 17 {
				proto = "udp"
			}
			j.Listens = append(j.Listens, exposureListener{l.Program, l.PID, proto, l.Addr.String(), l.Port})
		}
		out.Openings = append(out.Openings, j)
	}
	for _, r := range e.Rest {
		out.Rest = append(out.Rest, exposureRest{familyJSON(r.Subject.Family), r.Verdict.String(), placeJSON(r.By)})
	}
	return writeIndented(w, out)
}
