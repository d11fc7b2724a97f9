package analyze

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
)

// postureNames are the findings of posture_*.go.
var postureNames = [...]string{
	"policy-accept", "no-loopback", "no-established", "new-unneeded", "related-wide", "family-gap", "open-service", "docker-past-input",
	"log-without-limit", "spoofed", "icmpv6-needed", "icmp-needed", "legacy-in-force",
}

// TestDumpPosture is for the eye.
func TestDumpPosture(t *testing.T) {
	if os.Getenv("DUMP") == "" {
		t.Skip()
	}
	files, err := rulesets.All()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string][]*Subject{}
	var names []string
	for _, f := range files {
		r, err := load.Text(f.FileName(), []byte(f.Text), f.Family)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
		byName[f.Name] = append(byName[f.Name], &Subject{Ruleset: r.Ruleset, Source: r.Source, LineOf: r.Line})
	}
	_ = rule.IPv4
	for _, name := range names {
		fmt.Println("=====", name)
		for _, f := range audit(t, AuditInput{Subjects: byName[name]}, postureNames[:]...) {
			fmt.Printf("%v %s [%v %v] %s\n   %s\n", f.Severity, f.Name, f.Place.Family, f.Place, f.Place.Text, f.Says)
			if f.Example != nil {
				fmt.Printf("   e.g. %s => %v by %v\n", f.Example.Text, f.Example.Verdict, f.Example.By)
			}
			if f.Fix != nil {
				fmt.Printf("   fix (%s):\n      %s\n", f.Fix.Says, strings.Join(f.Fix.Commands, "\n      "))
			} else {
				fmt.Println("   NO FIX")
			}
		}
	}
}
