package analyze

import (
	"errors"
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
)

// ReadSuite reads a file of tests; source names it in errors, names gives
// services and protocols (nil reads /etc). What is wrong in the file is a
// SuiteErrors with all of it.
func ReadSuite(source string, data []byte, names *netdb.DB) (*Suite, error) {
	if names == nil {
		names = &netdb.DB{}
	}
	r := &suiteFile{suiteReader: suiteReader{source: source, lines: yamlLines(data)}, names: names}
	s := &Suite{Source: source}
	if top := r.document(); top != nil {
		r.suite(top, s)
	}
	if err := r.result(); err != nil {
		return nil, err
	}
	return s, nil
}

// suiteFile reads the format of docs/check.md.
type suiteFile struct {
	suiteReader
	names *netdb.DB
}

// field is a key of a mapping and what reads its value.
type suiteField struct {
	name string
	read func(n *yamlNode)
}

// unknownField stands for keys that nothing reads.
const unknownField = ""

// fields reads a mapping; what says what it describes. It gives the keys that
// were there.
func (r *suiteFile) fields(n *yamlNode, what string, fields []suiteField) map[string]bool {
	if n.kind != yamlMapping {
		r.fail(n, "%s is wanted here, with the keys %s, not %s", what, fieldNames(fields), n)
		return nil
	}
	has := map[string]bool{}
	for _, p := range r.pairs(n) {
		i := slices.IndexFunc(fields, func(f suiteField) bool { return f.name == p.key.value })
		if i < 0 {
			r.unknownKey(p.key, what, fields)
			has[unknownField] = true // and the one that is meant will be missing
			continue
		}
		has[p.key.value] = true
		fields[i].read(p.value)
	}
	return has
}

func (r *suiteFile) unknownKey(key *yamlNode, what string, fields []suiteField) {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	hint := ""
	if near := question.Nearest(strings.ToLower(key.value), names); near != "" {
		hint = "is \"" + near + "\" meant? "
	}
	r.fail(key, "unknown key %q: %s%s has %s", key.value, hint, what, fieldNames(fields))
}

func fieldNames(fields []suiteField) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// suite reads the whole file.
func (r *suiteFile) suite(n *yamlNode, s *Suite) {
	assume := map[string]packet.Answer{}
	var tests *yamlNode
	has := r.fields(n, "a file of tests", []suiteField{
		{"rules", func(n *yamlNode) { s.Rules = r.strings(n, "a file with rules") }},
		{"assume", func(n *yamlNode) { r.assume(n, assume) }},
		{"tests", func(n *yamlNode) { tests = n }},
	})
	switch {
	case n.kind != yamlMapping, tests == nil && has[unknownField]:
	case tests == nil:
		r.fail(n, "there are no tests; they are a list under the key \"tests:\"")
	case tests.kind != yamlList || len(tests.items) == 0:
		r.fail(tests, "a list of tests is wanted here, each with a name, a packet and what to expect, not %s", emptyOr(tests))
	default:
		r.tests(tests, s, assume)
	}
}

func emptyOr(n *yamlNode) string {
	if n.kind == yamlList && len(n.items) == 0 {
		return "an empty one"
	}
	return n.String()
}

// tests reads the list, in which no two tests have the same name.
func (r *suiteFile) tests(n *yamlNode, s *Suite, assume map[string]packet.Answer) {
	first := map[string]int{}
	for _, one := range n.items {
		t, name := r.test(one, assume)
		if t.Name == "" {
			continue
		}
		if line, twice := first[t.Name]; twice {
			r.fail(name, "a test has this name already, in line %d; each needs its own", line)
		} else {
			first[t.Name] = name.line
		}
		s.Tests = append(s.Tests, t)
	}
}

// test reads one test, and gives the node of its name.
func (r *suiteFile) test(n *yamlNode, assume map[string]packet.Answer) (t Test, name *yamlNode) {
	t.Line = n.line
	var packets, except []*yamlNode
	own := map[string]packet.Answer{}
	has := r.fields(n, "a test", []suiteField{
		{"name", func(n *yamlNode) { t.Name, _ = r.text(n, "a name"); name = n }},
		{"packet", func(n *yamlNode) { packets = append(packets, r.list(n, "a packet")...) }},
		{"packets", func(n *yamlNode) { packets = append(packets, r.list(n, "a packet")...) }},
		{"except", func(n *yamlNode) { except = r.list(n, "a packet") }},
		{"family", func(n *yamlNode) { t.Family = r.family(n) }},
		{"expect", func(n *yamlNode) { t.Expect = r.expect(n) }},
		{"decided by", func(n *yamlNode) { t.DecidedBy, _ = r.text(n, "the comment of a rule, or policy,") }},
		{"assume", func(n *yamlNode) { r.assume(n, own) }},
	})
	if has == nil {
		return t, n
	}
	switch {
	case has[unknownField]:
	case !has["name"]:
		r.fail(n, "this test has no name; add one: name: what has to hold")
	case has["packet"] && has["packets"]:
		r.fail(n, "this test has both packet and packets; write all of them under packets")
	case !has["packet"] && !has["packets"]:
		r.fail(n, "this test has no packet; add one: packet: tcp 203.0.113.7 -> 198.51.100.2:22 in eth0")
	case !has["expect"] && !has["decided by"]:
		r.fail(n, "this test expects nothing; add expect: %s, or decided by: a rule's comment", strings.Join(expectWords[1:], ", "))
	}
	t.Assume = merged(assume, own)
	r.packets(&t, packets, except)
	return t, name
}

// merged is the answers of both, the second ones first.
func merged(all, own map[string]packet.Answer) map[string]packet.Answer {
	out := map[string]packet.Answer{}
	for _, m := range []map[string]packet.Answer{all, own} {
		for name, a := range m {
			out[name] = a
		}
	}
	return out
}

// strings reads a list of words, or one.
func (r *suiteFile) strings(n *yamlNode, what string) (list []string) {
	for _, one := range r.list(n, what) {
		if s, ok := r.text(one, what); ok {
			list = append(list, s)
		}
	}
	return list
}

func (r *suiteFile) family(n *yamlNode) rule.Family {
	s, ok := r.text(n, "ipv4 or ipv6")
	switch strings.ToLower(s) {
	case "ipv4":
		return rule.IPv4
	case "ipv6":
		return rule.IPv6
	}
	if ok {
		r.fail(n, "a family is ipv4 or ipv6 (both if there is none), not %q", s)
	}
	return 0
}

func (r *suiteFile) expect(n *yamlNode) Expect {
	what := strings.Join(expectWords[1:], ", ")
	s, ok := r.text(n, "one of "+what)
	for e := ExpectAccept; e <= ExpectBlocked; e++ {
		if strings.EqualFold(s, e.String()) {
			return e
		}
	}
	if ok {
		r.fail(n, "expected can be %s (drop or reject), not %q", what, s)
	}
	return 0
}

// assume reads answers for matches: {limit: yes}.
func (r *suiteFile) assume(n *yamlNode, into map[string]packet.Answer) {
	if n.kind != yamlMapping {
		r.fail(n, "names of matches with yes or no are wanted here, as in {limit: yes}, not %s", n)
		return
	}
	for _, p := range r.pairs(n) {
		if !isMatch(p.key.value) {
			r.unknownMatch(p.key)
			continue
		}
		switch p.value.value {
		case "yes", "true":
			into[p.key.value] = packet.Yes
		case "no", "false":
			into[p.key.value] = packet.No
		default:
			r.fail(p.value, "a match says yes or no, not %s", p.value)
		}
	}
}

func isMatch(name string) bool {
	return ext.Find(ext.Match, name, rule.IPv4) != nil || ext.Find(ext.Match, name, rule.IPv6) != nil
}

func (r *suiteFile) unknownMatch(key *yamlNode) {
	var names []string
	for _, d := range ext.All() {
		if d.Kind == ext.Match {
			names = append(names, d.Name)
		}
	}
	if near := question.Nearest(key.value, names); near != "" {
		r.fail(key, "there is no match %q; is %q meant?", key.value, near)
		return
	}
	r.fail(key, "there is no match %q; the name of one is wanted, as in -m limit", key.value)
}

// packets reads the questions of a test.
func (r *suiteFile) packets(t *Test, packets, except []*yamlNode) {
	o := question.Options{Family: t.Family, Names: r.names}
	for _, n := range packets {
		s, ok := r.text(n, "a packet, as in tcp 203.0.113.7 -> 198.51.100.2:22 in eth0,")
		if !ok {
			continue
		}
		p := TestPackets{Text: strings.TrimSpace(s), Line: n.line, Column: n.column}
		var err error
		if p.One, p.Many, err = question.ParseEither(s, o); err != nil {
			r.wrongPacket(n, err)
			continue
		}
		if p.One != nil && len(except) > 0 {
			r.fail(n, "except takes packets out of a set, and this is one packet")
		}
		t.Packets = append(t.Packets, p)
	}
	for _, n := range except {
		s, ok := r.text(n, "packets to leave out")
		if !ok {
			continue
		}
		x, err := question.ParseOpen(s, o)
		if err != nil {
			r.wrongPacket(n, err)
			continue
		}
		t.Except = append(t.Except, x)
	}
}

// wrongPacket notes what is wrong in a question, at the word that is meant.
func (r *suiteFile) wrongPacket(n *yamlNode, err error) {
	var e *question.Error
	if errors.As(err, &e) {
		if column, ok := r.columnIn(n, e.Column); ok {
			what := "at the end of the packet: "
			if e.Word != "" {
				what = "\"" + e.Word + "\": "
			}
			r.failAt(n.line, column, "%s%s", what, e.Msg)
			return
		}
	}
	r.fail(n, "%v", err)
}
