package conformance

import (
	"slices"
	"strings"
	"testing"

	"moat/internal/ext"
	"moat/internal/rule"
)

// refusedHere are options that this kernel, or any host without the thing
// named, refuses: their lines are bad ones, alike for both programs, and they
// are proved by parsing and printing in package ext (testdata/ext).
var refusedHere = map[string]string{
	"bpf --object-pinned": "a pinned BPF program",
	"CT --timeout":        "a conntrack timeout policy made by nfct",
	"CLUSTERIP":           "the kernel has no CLUSTERIP any more",
	"ipvs":                "the kernel has no IPVS",
	"nfacct":              "an accounting object made by nfacct",
	"LED":                 "the kernel has no LED triggers",
	"SECMARK":             "a security context of SELinux",
	"ULOG":                "the kernel has no ULOG any more",
}

// TestEveryOptionHasALine says which option of which extension no line of
// testdata/*.rules uses, so that nothing is left uncompared.
func TestEveryOptionHasALine(t *testing.T) {
	var written []ruleLine
	for _, file := range caseFiles(t, "rules") {
		lines, err := parseRules(file)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, lines...)
	}
	for _, d := range ext.All() {
		if !slices.ContainsFunc(written, func(l ruleLine) bool { return l.names(d) }) {
			t.Errorf("no line names %s", d.Name)
			continue
		}
		for i := range d.Options {
			o := &d.Options[i]
			refused := refusedHere[d.Name] != "" || refusedHere[d.Name+" --"+o.Name] != ""
			if !slices.ContainsFunc(written, func(l ruleLine) bool { return (!l.bad || refused) && l.names(d) && l.uses(o) }) {
				t.Errorf("no good line for --%s of %s", o.Name, d.Name)
			}
		}
	}
}

// names tells whether a line loads an extension, by -m, -j or its protocol.
func (l ruleLine) names(d *ext.Def) bool {
	family := rule.IPv4
	if strings.HasPrefix(l.program, "ip6") {
		family = rule.IPv6
	}
	flag := "-m"
	if d.Kind == ext.Target {
		flag = "-j"
	}
	for i, w := range l.specification[:max(0, len(l.specification)-1)] {
		next := l.specification[i+1]
		if w == flag && ext.Find(d.Kind, next, family) == d || w == "-p" && len(d.Protocols) > 0 && d.Families.Has(family) {
			return true
		}
	}
	return false
}

// uses tells whether a line has an option, by any of its names.
func (l ruleLine) uses(o *ext.Option) bool {
	return slices.ContainsFunc(l.specification, func(w string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		return strings.HasPrefix(w, "--") && (name == o.Name || slices.Contains(o.Aliases, name))
	})
}
