package secure

import (
	"encoding/json"
	"io"
	"strings"
)

// WriteText writes a proposal for people: the files of both families, which can
// be copied out, then what else there is to know.
func WriteText(w io.Writer, p *Proposal) error {
	var b strings.Builder
	for _, f := range p.Families {
		b.Write(f.Text())
		b.WriteString("\n")
	}
	for _, n := range p.Notes {
		b.WriteString("note: " + n + ".\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type jsonService struct {
	Name     string   `json:"name,omitempty"`
	Port     string   `json:"port"`
	From     []string `json:"from,omitempty"` // missing: everybody
	Why      string   `json:"why,omitempty"`
	Programs []string `json:"programs,omitempty"`
}

type jsonFamily struct {
	Family   string   `json:"family"` // "ip" or "ip6"
	Restore  string   `json:"restore"`
	Stay     []string `json:"stay"`
	Replaced []string `json:"replaced"`
}

type jsonProposal struct {
	Allowed  []jsonService `json:"allowed"`
	Closed   []jsonService `json:"closed"`
	Families []jsonFamily  `json:"families"`
	Notes    []string      `json:"notes"`
}

// WriteJSON writes a proposal as one JSON object.
func WriteJSON(w io.Writer, p *Proposal) error {
	out := jsonProposal{Allowed: []jsonService{}, Closed: []jsonService{}, Families: []jsonFamily{}, Notes: append([]string{}, p.Notes...)}
	for i := range p.Services {
		out.Allowed = append(out.Allowed, p.Services[i].json())
	}
	for i := range p.Closed {
		s := p.Closed[i].json()
		s.Programs = p.Closed[i].Programs
		out.Closed = append(out.Closed, s)
	}
	for _, f := range p.Families {
		out.Families = append(out.Families, jsonFamily{
			Family: f.Family.String(), Restore: string(f.Text()), Stay: append([]string{}, f.Stay...), Replaced: append([]string{}, f.Replaced...),
		})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

func (s *Service) json() jsonService {
	j := jsonService{Name: s.Name, Port: s.Port(), Why: s.Why}
	for _, n := range s.From {
		j.From = append(j.From, n.String())
	}
	return j
}
