package tree

import (
	"debug/elf"
	"errors"
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

// What one package may allocate before main; unlike clock times, this is the
// same on each run.
const (
	// maxInitAllocs is for packages of Moat: the list of extensions grows by
	// doubling, so ten steps carry a thousand.
	maxInitAllocs = 12
	// maxModuleAllocs is for those of other modules, of which netlink makes 41.
	maxModuleAllocs = 60
	// maxInitBytes is for all, the standard library's too, of which unicode
	// takes 11400. A table of 18 KiB, as encoding/xml fills, is 0.03 ms.
	maxInitBytes = 16 << 10
)

// initTrace is what GODEBUG=inittrace=1 tells of a package.
type initTrace struct {
	path          string
	bytes, allocs int
}

// allowedAllocs is the bound for a package; false for the standard library.
func (p initTrace) allowedAllocs() (int, bool) {
	first, _, _ := strings.Cut(p.path, "/")
	switch {
	case first == "moat":
		return maxInitAllocs, true
	case strings.Contains(first, "."):
		return maxModuleAllocs, true
	}
	return 0, false
}

// initTraces starts a drop-in program.
func initTraces(t *testing.T) (list []initTrace) {
	t.Helper()
	cmd := exec.Command(build(t), "iptables", "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range regexp.MustCompile(`(?m)^init (\S+) .* (\d+) bytes, (\d+) allocs$`).FindAllStringSubmatch(string(out), -1) {
		bytes, err1 := strconv.Atoi(line[2])
		allocs, err2 := strconv.Atoi(line[3])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("%v in %q", err, line[0])
		}
		list = append(list, initTrace{line[1], bytes, allocs})
	}
	if !slices.ContainsFunc(list, func(p initTrace) bool { return strings.HasPrefix(p.path, "moat/") }) {
		t.Fatalf("no trace of Moat's own packages in:\n%s", out)
	}
	return list
}

// TestStartUpAllocatesNextToNothing holds which packages the binary may link: a
// drop-in program pays for each, also for those of commands that it is not.
func TestStartUpAllocatesNextToNothing(t *testing.T) {
	for _, p := range initTraces(t) {
		if most, bound := p.allowedAllocs(); bound && p.allocs > most {
			t.Errorf("%s makes %d allocations before main, more than %d", p.path, p.allocs, most)
		}
		if p.bytes > maxInitBytes {
			t.Errorf("%s allocates %d bytes before main, more than %d", p.path, p.bytes, maxInitBytes)
		}
	}
}
