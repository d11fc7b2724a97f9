package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layer is a package and what it may import beyond the standard library:
// packages of Moat by their path below moat/internal, others by their module.
type layer struct {
	path    string
	imports string
}

// layers are all packages, those at the top first: a package imports only
// packages that stand below it. ARCHITECTURE.md says what they are.
var layers = []layer{
	{"moat/cmd/moat", "secure session guard commit report analyze load question host packet rule cli lab cobra sys"},
	{"moat/bench", "rulesets sys"},
	{"moat/dist", ""},
	{"moat/internal/tree", ""},
	{"moat/internal/conformance", ""},
	{"moat/internal/traffic", ""},
	{"moat/internal/lockout", ""},
	{"moat/internal/judge", ""},
	{"moat/internal/manual/generate", "manual"},
	{"moat/internal/manual", "text ext rule"},
	{"moat/internal/cli", "guard commit persist session kernel text change ext kernel/nft netdb host packet rule"},
	{"moat/internal/secure", "session question simulate text change ext netdb host packet rule"},
	{"moat/internal/guard", "session load question simulate kernel text change ext netdb host packet rule syslog toml"},
	{"moat/internal/commit", "persist packet rule sys"},
	{"moat/internal/persist/persisttest", "persist rule"},
	{"moat/internal/persist", "syslog rule"},
	{"moat/internal/report", "analyze load text simulate question space ext netdb packet rule"},
	{"moat/internal/analyze", "load question simulate space text change ext netdb host packet rule yaml"},
	{"moat/internal/question", "simulate ext netdb packet rule"},
	{"moat/internal/load", "kernel text change ext netdb rule"},
	{"moat/internal/simulate", "ext packet rule space"},
	{"moat/internal/kernel", "change ext kernel/nft rule sys"},
	{"moat/internal/text", "change ext netdb rule"},
	{"moat/internal/change", "ext rule"},
	{"moat/internal/ext", "kernel/nft netdb packet rule space sys"},
	{"moat/internal/kernel/nft", "sys"},
	{"moat/internal/netdb", ""},
	{"moat/internal/space", "packet rule"},
	{"moat/internal/session", "host packet sys"},
	{"moat/internal/host", "packet rule netlink sys"},
	{"moat/internal/packet", "rule"},
	{"moat/internal/rulesets", "rule"},
	{"moat/internal/rule", ""},
	{"moat/internal/syslog", ""},
	{"moat/internal/sshlab", "lab netlink"},
	{"moat/internal/lab", "netlink net sys"},
}

// modules are the modules that Moat may use, by the names above.
var modules = map[string]string{
	"cobra": "github.com/spf13/cobra", "netlink": "github.com/vishvananda/netlink",
	"net": "golang.org/x/net", "sys": "golang.org/x/sys", "toml": "github.com/pelletier/go-toml/v2",
	"yaml": "github.com/goccy/go-yaml",
}

// allowed gives the import paths that a layer may use.
func (l layer) allowed() []string {
	var list []string
	for _, name := range strings.Fields(l.imports) {
		if module, ok := modules[name]; ok {
			list = append(list, module)
		} else {
			list = append(list, "moat/internal/"+name)
		}
	}
	return list
}

func layerOf(path string) int {
	return slices.IndexFunc(layers, func(l layer) bool { return l.path == path })
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

// packages lists the packages of Moat that patterns name.
func packages(t *testing.T, patterns ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Imports,GoFiles"}, patterns...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.Bytes())
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, "moat/") {
			list = append(list, p)
		}
	}
}

func TestImportsGoDownTheLayers(t *testing.T) {
	for _, p := range packages(t, "moat/...") {
		at := layerOf(p.ImportPath)
		if at < 0 {
			t.Errorf("%s stands in no layer: give it a row in imports_test.go and a line in ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			first, _, _ := strings.Cut(path, "/")
			if first != "moat" && !strings.Contains(first, ".") {
				continue // the standard library
			}
			if !slices.ContainsFunc(layers[at].allowed(), func(a string) bool {
				return path == a || !strings.HasPrefix(a, "moat/") && strings.HasPrefix(path, a+"/")
			}) {
				t.Errorf("%s must not import %s", p.ImportPath, path)
			}
		}
	}
}

func TestLayersAreInOrder(t *testing.T) {
	for i, l := range layers {
		for _, path := range l.allowed() {
			if below := layerOf(path); strings.HasPrefix(path, "moat/") && below <= i {
				t.Errorf("%s may import %s, which does not stand below it", l.path, path)
			}
		}
	}
}
