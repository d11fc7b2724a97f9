package text

import (
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
)

// loaded is an extension that the command has named so far.
type loaded struct {
	def *ext.Def
	in  ext.Instance
}

// load makes an instance of an extension, whose options are known from here on.
func (p *parser) load(d *ext.Def) {
	p.loaded = append(p.loaded, loaded{def: d, in: ext.Instance{Ext: d.New(p.family)}})
}

// findExtension is ext.Find with a memory: the lines of a file name the same
// few extensions again and again.
func (p *parser) findExtension(kind ext.Kind, name string) *ext.Def {
	for _, d := range p.defs[kind] {
		if d.Name == name {
			return d
		}
	}
	d := ext.Find(kind, name, p.family)
	if d != nil {
		p.defs[kind] = append(p.defs[kind], d)
	}
	return d
}

// takeMatch takes -m.
func (p *parser) takeMatch(name string) error {
	d := p.findExtension(ext.Match, name)
	if d == nil {
		return p.fail("Couldn't load match `%s':No such file or directory", name)
	}
	p.load(d)
	return nil
}

// loadImplicit loads the match that belongs to the protocol given with -p, if
// the command has not loaded it yet, and reports whether it did.
func (p *parser) loadImplicit() bool {
	if !p.given.has('p') || p.implicit || p.rule.Proto.IsAny() {
		return false
	}
	d := ext.FindImplicit(p.rule.Proto.Number, p.family)
	if d == nil {
		return false
	}
	for i := range p.loaded {
		if p.loaded[i].def == d {
			return false
		}
	}
	p.implicit = true
	p.load(d)
	return true
}

// extension takes an option of an extension; w is the word it was written as.
func (p *parser) extension(f found, w, value string) error {
	not := p.not
	p.not = false
	l := &p.loaded[f.ext]
	o := &l.def.Options[f.opt]
	second := ""
	if o.Optional {
		var ok bool
		if value, ok = p.plainWord(); ok && value == "" {
			return p.fail("option \"%s\" takes %s or nothing, not an empty word", w, o.Value)
		}
	}
	if strings.IndexByte(o.Value, ' ') >= 0 {
		var ok bool
		if second, ok = p.plainWord(); !ok {
			return p.fail("--%s requires two args.", o.Name)
		}
	}
	if err := l.in.Set(&p.context, f.opt, not, value, second); err != nil {
		return p.wrap(err)
	}
	return nil
}

// takeTarget takes -j, or with jump set to false -g.
func (p *parser) takeTarget(name string, jump, not bool) error {
	if err := p.once('j', not); err != nil {
		return err
	}
	if v, ok := rule.ParseVerdict(name); ok && jump {
		p.rule.Target = v
		return nil
	}
	switch {
	case name == "":
		return p.fail("Invalid target name (too short)")
	case len(name) > maxChainName:
		return p.fail("Invalid target name `%s' (%d chars max)", name, maxChainName)
	case strings.ContainsAny(name, " \t\n\v\f\r"):
		return p.fail("Invalid target name `%s'", name)
	case !jump:
		p.rule.Target = rule.Jump{Chain: name, Goto: true}
		return nil
	}
	d := p.findExtension(ext.Target, name)
	if d == nil {
		p.rule.Target = rule.Jump{Chain: name}
		return nil
	}
	p.target = len(p.loaded)
	p.load(d)
	p.rule.Target = p.loaded[p.target].in.Ext.(rule.Target)
	return nil
}

// finishRule asks every extension whether all it needs was said.
func (p *parser) finishRule() error {
	p.rule.Matches = p.slab.matches(len(p.loaded))
	for i := range p.loaded {
		if i != p.target {
			p.rule.Matches = append(p.rule.Matches, p.loaded[i].in.Ext)
		}
	}
	if len(p.rule.Matches) == 0 {
		p.rule.Matches = nil
	}
	for i := range p.loaded {
		if err := p.loaded[i].in.Finish(&p.context); err != nil {
			return p.wrap(err)
		}
	}
	return nil
}

// slab allocates rules and their lists of matches many at a time: a file of
// 100,000 rules would else make the collector walk as many small objects.
type slab struct {
	rules []rule.Rule
	list  []rule.Match
	many  bool // a file: allocate for more than one rule
}

// peek is the rule that take will give away.
func (s *slab) peek() *rule.Rule {
	if len(s.rules) == 0 {
		n := 1
		if s.many {
			n = 128
		}
		s.rules = make([]rule.Rule, n)
	}
	s.rules[0] = rule.Rule{}
	return &s.rules[0]
}

// take gives the rule away.
func (s *slab) take() { s.rules = s.rules[1:] }

// matches is an empty list with room for n matches.
func (s *slab) matches(n int) []rule.Match {
	if n == 0 {
		return nil
	}
	if !s.many {
		return make([]rule.Match, 0, n)
	}
	if len(s.list) < n {
		s.list = make([]rule.Match, 256+n)
	}
	m := s.list[:0:n]
	s.list = s.list[n:]
	return m
}
