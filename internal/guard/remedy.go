package guard

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// remedy is what makes a refused change safe. It has been carried out on a copy
// of the rules.
type remedy struct {
	first []change.Op // commands to give before the change
	added []addition  // lines to add to the file
	then  *change.Op  // the change in its new form, when rule numbers move; nil if it stays
}

// addition is a line that a restore file lacks.
type addition struct {
	op     change.Op
	at     int // operation of the script before which it belongs
	before int // line of the file before which it belongs
}

// maxRemedies bounds how many commands are looked for.
const maxRemedies = 12

// findRemedy looks for commands, one after the other: each lets the first packet
// through that is still lost. Only what makes the change safe as a whole is told.
func (r *Refusal) findRemedy(j *judgement) {
	m := remedy{}
	t, lost := j.after, j.lost
	for range maxRemedies {
		if !m.mend(j, t, &lost[0]) {
			return
		}
		before, err := j.change.Predict(j.change.Before, &change.Script{Family: j.family, Ops: m.first})
		if err != nil {
			return
		}
		if _, harm := j.loses(before); len(harm) > 0 {
			return
		}
		after, err := j.change.Predict(before, m.script(j.change.Script))
		if err != nil {
			return
		}
		if t, lost = j.loses(after); len(lost) == 0 {
			r.Remedy = &m
			return
		}
	}
}

// script is the change with what was added to it.
func (m *remedy) script(s *change.Script) *change.Script {
	out := &change.Script{Family: s.Family, Ops: slices.Clone(s.Ops)}
	if m.then != nil {
		out.Ops = []change.Op{*m.then}
	}
	for i := len(m.added) - 1; i >= 0; i-- {
		out.Ops = slices.Insert(out.Ops, m.added[i].at, m.added[i].op)
	}
	return out
}

// mend adds what lets a lost packet through: a rule at the head of the built-in
// chain in which it is lost, given before the change or, when the change would
// sweep it away, within it. false if nothing is known that helps.
func (m *remedy) mend(j *judgement, t *trial, o *outcome) bool {
	who, table, base := t.lostIn(o)
	if base == "" {
		return false
	}
	op, err := who.accept(j.family, table, base)
	if err != nil {
		return false
	}
	s := j.change.Script
	sweeps := slices.ContainsFunc(s.Ops, func(x change.Op) bool { return sweepsAway(&x, table, base) })
	switch {
	case !sweeps:
		return m.command(s, op)
	case s.Ops[0].Place.Line > 0:
		return m.line(s, op)
	}
	op = change.Op{Kind: change.SetPolicy, Table: table, Chain: base, Policy: rule.Accept}
	return m.command(s, op)
}

// sweepsAway reports whether an operation takes a rule out that was put at the
// head of a chain.
func sweepsAway(x *change.Op, table, chain string) bool {
	if x.Table != table {
		return false
	}
	switch x.Kind {
	case change.ReplaceTable:
		return true
	case change.Flush, change.DeclareChain:
		return x.Chain == "" || x.Chain == chain
	}
	return false
}

// command adds a command to give first; false if it is there already. What the
// change says of rule numbers moves on by one.
func (m *remedy) command(s *change.Script, op change.Op) bool {
	if slices.ContainsFunc(m.first, func(x change.Op) bool { return sameOp(&x, &op) }) {
		return false
	}
	m.first = append(m.first, op)
	if len(s.Ops) != 1 || op.Kind != change.Insert {
		return true
	}
	then := s.Ops[0]
	if m.then != nil {
		then = *m.then
	}
	if then.Num > 0 && then.Table == op.Table && then.Chain == op.Chain && (then.Kind != change.Insert || then.Num > 1) {
		then.Num++
		m.then = &then
	}
	if then.Kind == change.Insert && then.Num <= 1 && then.Table == op.Table && then.Chain == op.Chain {
		then.Num = 2 // behind the rule that saves
		m.then = &then
	}
	return true
}

// line adds a line to the file: before the first rule of its table, or before the
// end of the table's part if that has none.
func (m *remedy) line(s *change.Script, op change.Op) bool {
	if slices.ContainsFunc(m.added, func(x addition) bool { return sameOp(&x.op, &op) }) {
		return false
	}
	at := -1
	for i := range s.Ops {
		if x := &s.Ops[i]; x.Table == op.Table {
			at = i + 1
			if x.Rule != nil {
				at = i
				break
			}
		}
	}
	if at < 0 {
		return false
	}
	a := addition{op: op, at: at}
	if at < len(s.Ops) && s.Ops[at].Table == op.Table {
		a.before = s.Ops[at].Place.Line
	} else {
		a.before = s.Ops[at-1].Place.Line + 1
	}
	m.added = append(m.added, a)
	return true
}

func sameOp(a, b *change.Op) bool {
	return a.Kind == b.Kind && a.Table == b.Table && a.Chain == b.Chain &&
		(a.Rule == nil) == (b.Rule == nil) && (a.Rule == nil || ext.EqualRules(a.Rule, b.Rule))
}

// lostIn names the table and the built-in chain in which a packet is lost, or
// another that it answers is led astray; "" if no rule and no policy does it.
func (t *trial) lostIn(o *outcome) (who *outcome, table, base string) {
	if !o.strays {
		if o.result.By == (simulate.Place{}) {
			return o, "", ""
		}
		table, base = lastBase(t.path(o))
		return o, table, base
	}
	l := t.leader(o)
	if l == nil {
		return o, "", ""
	}
	table, base = lastBase(l.path[:l.at+1])
	return l.who, table, base
}

// lastBase is the built-in chain in which a path ends.
func lastBase(path []simulate.Step) (table, base string) {
	for i := range path {
		s := &path[i]
		if layout := rule.FindLayout(s.Table); layout != nil && layout.Builtin(s.Chain) != nil {
			table, base = s.Table, s.Chain
		}
	}
	return table, base
}

// accept is the command that lets a packet and its like through at the head of a
// built-in chain.
func (o *outcome) accept(family rule.Family, table, base string) (change.Op, error) {
	words := []string{"-t", table, "-I", base}
	switch p := o.party; {
	case o.isDiscovery():
		words = append(words, "-p", "ipv6-icmp", "--icmpv6-type", strconv.Itoa(int(o.packet.Transport.Type)))
	default:
		client, server := p.From.Addr(), p.Server
		if base == rule.Prerouting.Chain() { // before this host translates anything
			server = p.Wire
		}
		if base == rule.Output.Chain() && table != "filter" && table != "security" { // before it translates back
			client = o.packet.Dst
		}
		whom := client.String()
		if client == p.From.Addr() {
			whom = p.clients(client)
		}
		address, port := "-s", "--dport"
		if o.isOut() {
			address, port = "-d", "--sport"
		}
		match := []string{"-p", protoName(p.Proto), port, strconv.Itoa(int(server.Port()))}
		if p.tunnel != nil {
			match = p.tunnel.match(o.isOut(), server.Port())
		}
		if !p.isUntold() {
			words = append(words, address, whom)
		}
		words = append(words, match...)
	}
	cmd, err := text.ParseCommand(family, family.Program(), append(words, "-j", "ACCEPT"), &netdb.DB{})
	if err != nil || len(cmd.Ops) != 1 {
		return change.Op{}, errors.Join(err, errNoCommand)
	}
	return cmd.Ops[0], nil
}

var errNoCommand = errors.New("no command says this")

// clients are who a remedy lets in: the client's address, or the whole of a
// network that is protected.
func (p *party) clients(a netip.Addr) string {
	if p.entry != nil {
		return p.entry.From.String()
	}
	return a.String()
}

func protoName(proto uint8) string {
	if proto == packet.ProtoUDP {
		return "udp"
	}
	return "tcp"
}
