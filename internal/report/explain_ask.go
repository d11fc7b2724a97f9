package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"moat/internal/load"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// Explainer answers questions about the rules of a file or of the live host.
type Explainer struct {
	// File is a file in save format, "-" for In; "" asks the live kernel.
	File string
	In   io.Reader
	// Family is that of the rules that are asked about; 0 takes each packet's.
	Family rule.Family
	// Host reads what the live host knows of itself. It is not called for a file.
	Host  func() (packet.Host, error)
	JSON  bool
	Trace bool // in text: rules that did not match too; in a batch: the trace
	Color bool

	names     netdb.DB
	rules     [2]*simulate.Firewall // of IPv4 and IPv6, once they were needed
	host      packet.Host
	knowsHost bool
	indexed   bool   // a batch without traces
	data      []byte // of File, once it was read
	source    string // File, for people
	isRead    bool
}

// Ask answers one question on out. What is wrong with the question is a
// *question.Error.
func (e *Explainer) Ask(out io.Writer, text string) error {
	q, r, err := e.answer(text)
	if err != nil {
		return err
	}
	if e.JSON {
		return ExplainJSON(out, q.Packet.Family, r, true)
	}
	return ExplainText(out, q, r, ExplainOptions{Color: e.Color, All: e.Trace})
}

// Families are those whose rules were asked so far.
func (e *Explainer) Families() (list []rule.Family) {
	for i, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		if e.rules[i] != nil {
			list = append(list, f)
		}
	}
	return list
}

// Batch answers a question a line with a JSON object a line. Empty lines and
// those that begin with # are skipped. A line that is no question gets an
// object with the error and the line's number; wrong counts them.
func (e *Explainer) Batch(out io.Writer, in io.Reader) (wrong int, err error) {
	e.indexed = !e.Trace
	w := bufio.NewWriter(out)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		q, r, err := e.answer(line)
		var bad *question.Error
		switch {
		case err == nil:
			err = ExplainJSON(w, q.Packet.Family, r, e.Trace)
		case errors.As(err, &bad):
			wrong++
			err = writeJSON(w, wrongLine{err.Error(), n})
		}
		if err != nil {
			return wrong, errors.Join(err, w.Flush())
		}
	}
	return wrong, errors.Join(lines.Err(), w.Flush())
}

// answer reads a question and walks its packet.
func (e *Explainer) answer(text string) (*question.Question, *simulate.Result, error) {
	q, err := question.Parse(text, question.Options{Family: e.Family, Names: &e.names})
	if err != nil {
		return nil, nil, err
	}
	f, err := e.firewall(q.Packet.Family)
	if err != nil {
		return nil, nil, err
	}
	if e.File == "" {
		if err := e.settle(q); err != nil {
			return nil, nil, err
		}
	}
	r := f.Walk(q.Packet, simulate.Options{Way: q.Way, Fixed: q.Fixed, Ends: !e.JSON && !e.indexed, Loop: q.Loops, NoTrace: e.indexed})
	return q, &r, nil
}

// settle gives the question to the live host.
func (e *Explainer) settle(q *question.Question) (err error) {
	if !e.knowsHost {
		if e.host, err = e.Host(); err != nil {
			return err
		}
		e.knowsHost = true
	}
	if err := q.Settle(e.host); err != nil {
		return &question.Error{Column: 1, Word: question.Headline(&q.Packet), Msg: err.Error()}
	}
	return nil
}

// firewall reads the rules of a family when they are first asked for.
func (e *Explainer) firewall(f rule.Family) (*simulate.Firewall, error) {
	known := &e.rules[0]
	if f == rule.IPv6 {
		known = &e.rules[1]
	}
	if *known != nil {
		return *known, nil
	}
	rules, err := e.load(f)
	if err != nil {
		return nil, err
	}
	if e.indexed {
		*known = simulate.NewIndexed(rules.Ruleset)
	} else {
		*known = simulate.New(rules.Ruleset)
	}
	return *known, nil
}

func (e *Explainer) load(f rule.Family) (rules *load.Rules, err error) {
	if e.File == "" {
		return load.Live(f)
	}
	if !e.isRead {
		if err := e.read(); err != nil {
			return nil, err
		}
	}
	if told := load.FamilyOf(e.source, e.data); told != load.Auto && told != f && e.Family == load.Auto {
		return nil, fmt.Errorf("%s has rules of %s, which say nothing of a packet of %s", e.source, told.Name(), f.Name())
	}
	return load.Text(e.source, e.data, f)
}

// read reads the file.
func (e *Explainer) read() (err error) {
	e.source, e.isRead = e.File, true
	if e.File != load.Stdin {
		e.data, err = os.ReadFile(e.File)
		return err
	}
	e.source = "standard input"
	if e.data, err = io.ReadAll(e.In); err != nil {
		return fmt.Errorf("%s: %w", e.source, err)
	}
	return nil
}
