package tree

import (
	"debug/elf"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// cheapCalls may stand in the initial value of a package's variable.
var cheapCalls = []string{"errors.New"}

// Drop-in programs are started thousands of times by scripts, so that no
// package of theirs computes anything before main: no map is filled, no
// regular expression compiled, and init does no more than register.
func TestNothingIsComputedBeforeMain(t *testing.T) {
	list := packages(t, "-deps", "moat/cmd/moat")
	if len(list) < 10 {
		t.Fatalf("only %d packages found", len(list))
	}
	fset := token.NewFileSet()
	for _, p := range list {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range file.Decls {
				for _, bad := range early(n) {
					t.Errorf("%s: %s", fset.Position(bad.Pos()), "computed at start-up; make it a literal slice, or a function")
				}
			}
		}
	}
}

// early gives what a declaration would compute before main.
func early(decl ast.Decl) (bad []ast.Node) {
	switch d := decl.(type) {
	case *ast.GenDecl:
		if d.Tok != token.VAR {
			return nil
		}
		for _, spec := range d.Specs {
			if v := spec.(*ast.ValueSpec); v.Names[0].Name != "_" { // var _ I = (*T)(nil) is for the compiler
				ast.Inspect(v, func(n ast.Node) bool { return look(n, &bad) })
			}
		}
	case *ast.FuncDecl:
		if d.Name.Name != "init" || d.Recv != nil {
			return nil
		}
		for _, statement := range d.Body.List {
			if !mayStandInInit(statement) {
				bad = append(bad, statement)
			}
		}
	}
	return bad
}

// look adds calls and filled maps to bad; what is inside of a function literal
// runs later.
func look(n ast.Node, bad *[]ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncLit:
		return false
	case *ast.CompositeLit:
		if _, isMap := n.Type.(*ast.MapType); isMap && len(n.Elts) > 0 {
			*bad = append(*bad, n)
		}
	case *ast.CallExpr:
		if !slices.Contains(cheapCalls, callee(n)) {
			*bad = append(*bad, n)
		}
	}
	return true
}

// callee is the name of a called function, "errors.New".
func callee(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// mayStandInInit reports whether a statement is register(&x), or x.Field = name
// to break an initialization cycle.
func mayStandInInit(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.AssignStmt:
		_, field := s.Lhs[0].(*ast.SelectorExpr)
		_, name := s.Rhs[0].(*ast.Ident)
		return field && name
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		if !ok || callee(call) != "register" || len(call.Args) != 1 {
			return false
		}
		arg, ok := call.Args[0].(*ast.UnaryExpr)
		return ok && arg.Op == token.AND
	}
	return false
}

// build makes the binary; what make build does beyond this changes no code.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "moat")
	cmd := exec.Command("go", "build", "-o", binary, "moat/cmd/moat")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func TestBinaryIsStatic(t *testing.T) {
	file, err := elf.Open(build(t))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic loader")
		}
	}
}

// maxInitAllocs bounds what one package of Moat allocates before main: the
// list of extensions grows by doubling, so ten steps carry a thousand.
const maxInitAllocs = 12

func TestStartUpAllocatesNextToNothing(t *testing.T) {
	cmd := exec.Command(build(t), "iptables", "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := regexp.MustCompile(`(?m)^init (\S+) .* (\d+) allocs$`).FindAllStringSubmatch(string(out), -1)
	seen := false
	for _, line := range lines {
		if !strings.HasPrefix(line[1], "moat/") {
			continue
		}
		seen = true
		if n, err := strconv.Atoi(line[2]); err != nil || n > maxInitAllocs {
			t.Errorf("%s makes %s allocations before main, more than %d", line[1], line[2], maxInitAllocs)
		}
	}
	if !seen {
		t.Errorf("no trace of Moat's own packages in:\n%s", out)
	}
}
