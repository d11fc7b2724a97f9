package tree

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// opening is a name that goes past the guard, and the files that may use it.
type opening struct {
	name  string // "kernel.Unguarded"; ".Commit" for any value's method
	files []string
}

// openings are all that there are.
var openings = []opening{
	// Everything that is sent to nf_tables, after the gate was asked.
	{".Commit", []string{"internal/kernel/gate.go"}},
	// The connection by which it is sent.
	{"nft.Open", []string{"internal/kernel/kernel.go"}},
	// The gate that bars nothing, for rollback alone.
	{"kernel.Unguarded", []string{"internal/cli/firewall.go"}},
	{"Unguarded", []string{"internal/cli/commit.go"}},
	{"cli.Unguarded", nil},
}

// TestEveryChangePassesTheGuard holds that no command can forget to ask it: the
// ways past it stand in few files, by name.
func TestEveryChangePassesTheGuard(t *testing.T) {
	seen := map[string]bool{}
	fset := token.NewFileSet()
	for _, p := range packages(t, "moat/...") {
		if p.ImportPath == "moat/internal/kernel/nft" { // what is sent is its business, not whether
			continue
		}
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range openings {
				if !uses(file, o.name) {
					continue
				}
				seen[o.name] = true
				if !slices.ContainsFunc(o.files, func(f string) bool { return strings.HasSuffix(path, "/"+f) }) {
					t.Errorf("%s uses %s, which goes past the guard", path, o.name)
				}
			}
		}
	}
	for _, o := range openings {
		if len(o.files) > 0 && !seen[o.name] {
			t.Errorf("nobody uses %s: is the list of ways past the guard still true?", o.name)
		}
	}
}

// uses reports whether a file calls or names something: "pkg.Name", ".Method" of
// anything, or "Func" of its own package as a call.
func uses(file *ast.File, name string) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, _ := n.X.(*ast.Ident)
			found = found || x != nil && x.Name+"."+n.Sel.Name == name || "."+n.Sel.Name == name
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.Ident)
			found = found || ok && f.Name == name
		}
		return true
	})
	return found
}
