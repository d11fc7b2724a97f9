package analyze

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// yamlTree makes nodes of what the library parsed.
type yamlTree struct {
	*suiteReader
	anchors map[string]*yamlNode // those that end above
}

// start is where a node of the library begins.
func start(n ast.Node) (line, column int) {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // its own token is the colon
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return t.Position.Line, t.Position.Column
}

// node makes one node; nil if something in it is wrong and noted.
func (t yamlTree) node(n ast.Node) *yamlNode {
	switch n := n.(type) {
	case *ast.AnchorNode:
		v := t.node(n.Value)
		t.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		return t.alias(n)
	case *ast.MappingNode:
		return t.mapping(n)
	case *ast.SequenceNode:
		list := newYAML(yamlList, n)
		for _, one := range n.Values {
			if v := t.node(one); v != nil {
				list.items = append(list.items, v)
				list.size += v.size
			}
		}
		return t.repeated(list)
	case *ast.LiteralNode:
		text := newYAML(yamlText, n)
		text.value = strings.TrimRight(n.Value.Value, "\n") // which | and > keep
		return text
	case *ast.NullNode:
		text := newYAML(yamlText, n)
		text.null = true
		return text
	case ast.ScalarNode: // all others, numbers too, as they stand there
		text := newYAML(yamlText, n)
		text.value = n.GetToken().Value
		text.quoted = n.GetToken().Type == token.SingleQuoteType || n.GetToken().Type == token.DoubleQuoteType
		return text
	}
	line, column := start(n)
	t.failAt(line, column, "no YAML that can stand in tests")
	return nil
}

func newYAML(kind yamlKind, n ast.Node) *yamlNode {
	line, column := start(n)
	return &yamlNode{kind: kind, line: line, column: column, size: 1}
}

// alias gives the node of an anchor that ends above, so that none is in itself.
func (t yamlTree) alias(n *ast.AliasNode) *yamlNode {
	name := n.Value.GetToken().Value
	v, ok := t.anchors[name]
	if !ok {
		line, column := start(n)
		t.failAt(line, column, "there is no anchor &%s above that *%s could stand for", name, name)
	}
	return v
}

func (t yamlTree) mapping(n *ast.MappingNode) *yamlNode {
	m := newYAML(yamlMapping, n)
	for _, p := range n.Values {
		key, value := t.node(p.Key), t.node(p.Value)
		if key == nil || value == nil {
			continue
		}
		line, column := start(p.Value)
		switch _, null := p.Value.(*ast.NullNode); {
		case !n.IsFlowStyle && value.kind == yamlText && !null && line > key.line && column <= key.column:
			t.failAt(line, column, "what belongs to %q has to be indented more than it", key.value)
			continue
		}
		if key.kind != yamlText {
			t.fail(key, "a key is a word, not %s", key)
			continue
		}
		m.pairs = append(m.pairs, yamlPair{key, value})
		m.size += key.size + value.size
	}
	return t.repeated(m)
}

// repeated holds that aliases of aliases do not make a small file endless; told
// once, since each alias further down repeats it.
func (t yamlTree) repeated(n *yamlNode) *yamlNode {
	if n.size <= maxYAMLValues {
		return n
	}
	if len(t.errs) == 0 {
		t.fail(n, "more than %d values, counted with all that aliases repeat", maxYAMLValues)
	}
	return nil
}
