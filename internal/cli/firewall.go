package cli

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"moat/internal/change"
	"moat/internal/guard"
	"moat/internal/kernel"
	"moat/internal/netdb"
	"moat/internal/persist"
	"moat/internal/rule"
	"moat/internal/text"
)

// Guarded is the gate of this process: changes that would cut off the one who
// makes them do not happen. Warnings go to stderr. protect names clients to be
// kept beyond the caller's own connection and those of moat.toml.
func Guarded(stderr io.Writer, protect ...guard.Protected) kernel.Gate {
	return guard.New(guard.Options{Warn: stderr, Protect: protect})
}

// Unguarded is the gate that bars nothing: for the way back.
func Unguarded() kernel.Gate { return kernel.Unguarded }

// JudgedFirewall is a firewall that can also say what becomes of a change, and
// make one of the rules as they are.
type JudgedFirewall interface {
	persist.Firewall
	// Remake makes what of gives for the present rules (in save format, with
	// counters) their new state, counters included. No other writer comes between.
	Remake(f rule.Family, name string, of func(now []byte) []byte) error
	// Judge says whether Restore would be made: not if the text is wrong, and not
	// if the gate refuses. Nothing is changed.
	Judge(f rule.Family, name string, r io.Reader, o persist.RestoreOptions) error
}

// Firewall is the kernel of this network namespace for packages persist and
// commit; changes pass the gate.
func Firewall(g kernel.Gate) JudgedFirewall { return firewall{g} }

type firewall struct{ gate kernel.Gate }

// Save writes every table of the family in save format.
func (firewall) Save(f rule.Family, w io.Writer, counters bool) error {
	k, err := kernel.OpenToRead()
	if err != nil {
		return err
	}
	defer k.Close()
	return saveTables(k, f, nil, saveOptions(f, counters), &netdb.DB{}, w)
}

// Restore makes a text in save format the state of its tables.
func (w firewall) Restore(f rule.Family, name string, r io.Reader, o persist.RestoreOptions) error {
	return w.restore(f, name, r, o, (*kernel.Kernel).Apply)
}

// Judge says whether Restore would be made.
func (w firewall) Judge(f rule.Family, name string, r io.Reader, o persist.RestoreOptions) error {
	return w.restore(f, name, r, o, (*kernel.Kernel).Judge)
}

func (w firewall) restore(f rule.Family, name string, r io.Reader, o persist.RestoreOptions, do func(*kernel.Kernel, *change.Script) error) error {
	s, err := parse(f, name, r, text.RestoreOptions{Counters: o.Counters, NoFlush: o.NoFlush})
	if err != nil {
		return err
	}
	k, err := kernel.Open(w.gate)
	if err != nil {
		return err
	}
	defer k.Close()
	return named(name, do(k, s))
}

// Remake makes a text of the present rules, and that their new state.
func (w firewall) Remake(f rule.Family, name string, of func(now []byte) []byte) error {
	k, err := kernel.Open(w.gate)
	if err != nil {
		return err
	}
	defer k.Close()
	return named(name, k.Recompute(func() (*change.Script, error) {
		var now bytes.Buffer
		if err := saveTables(k, f, nil, saveOptions(f, true), &netdb.DB{}, &now); err != nil {
			return nil, err
		}
		return parse(f, name, bytes.NewReader(of(now.Bytes())), text.RestoreOptions{Counters: true})
	}))
}

// Check says if Restore would understand the text.
func (firewall) Check(f rule.Family, name string, r io.Reader) error {
	_, err := parse(f, name, r, text.RestoreOptions{})
	return err
}

// Flush empties every table of iptables that the kernel has: policies first,
// so that no packet meets an empty chain with policy DROP.
func (w firewall) Flush(f rule.Family) error {
	k, err := kernel.Open(w.gate)
	if err != nil {
		return err
	}
	defer k.Close()
	tables, err := k.Tables(f)
	if err != nil {
		return err
	}
	s := &change.Script{Family: f}
	for _, table := range tables {
		v, err := k.View(f, table)
		if err != nil {
			return err
		}
		for _, h := range v.Chains {
			if h.Exists && h.Base != nil {
				s.Ops = append(s.Ops, change.Op{Kind: change.SetPolicy, Table: table, Chain: h.Name, Policy: rule.Accept})
			}
		}
		// Which chains there are to delete is read in the transaction: another
		// writer may make or delete one meanwhile.
		s.Ops = append(s.Ops, change.Op{Kind: change.Flush, Table: table}, change.Op{Kind: change.DeleteChain, Table: table})
	}
	if len(s.Ops) == 0 {
		return nil
	}
	return k.Apply(s)
}

func parse(f rule.Family, name string, r io.Reader, o text.RestoreOptions) (*change.Script, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	s, err := text.ParseRestore(f, f.Program()+"-restore", data, o, &netdb.DB{})
	return s, named(name, err)
}

// named puts the file and the place into an error: "rules.v4:14:23: …".
func named(name string, err error) error {
	if refused := (*guard.Refusal)(nil); err == nil || errors.As(err, &refused) {
		return err
	}
	var t *text.Error
	if errors.As(worded(name, err), &t) {
		return &fileError{name: name, cause: t}
	}
	return err
}

// fileError is an error in a file of rules.
type fileError struct {
	name  string
	cause *text.Error
}

// Error is one line: file, line and column as far as known, what is wrong.
func (e *fileError) Error() string {
	at := e.name
	if p := e.place(); p.Line > 0 {
		at += ":" + strconv.Itoa(p.Line)
		if p.Column > 0 {
			at += ":" + strconv.Itoa(p.Column)
		}
	}
	msg := e.cause.Msg
	var k *kernel.Error
	if errors.As(e.cause, &k) {
		msg = k.Msg // without the line, which e.cause has worked in
	}
	return at + ": " + strings.TrimSpace(msg)
}

// place is where in the file the error is; an error of the kernel has it in
// the operation that failed.
func (e *fileError) place() change.Place {
	var k *kernel.Error
	if errors.As(e.cause, &k) && k.Op != nil {
		return k.Op.Place
	}
	return e.cause.Place
}

// Unwrap gives the error without the file.
func (e *fileError) Unwrap() error { return e.cause }
