package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/rulesets"
)

// postureNames are the findings of posture_*.go.
var postureNames = [...]string{
	"policy-accept", "no-loopback", "no-established", "new-unneeded", "related-wide", "family-gap", "open-service", "docker-past-input",
	"log-without-limit", "spoofed", "icmpv6-needed", "icmp-needed", "legacy-in-force",
}

// TestRealRulesetsHaveTheseOpenDoors holds what is found in rulesets as they are
// in the field. Each line has been looked at: an admin would agree. Docker and
// kube-proxy leave INPUT open, and Docker's database is open to the world; the
// router serves IPsec by IPv4 alone and sends X11's port to an inside host. All others are as they should be.
func TestRealRulesetsHaveTheseOpenDoors(t *testing.T) {
	want := map[string][]string{
		"docker": {
			"warning policy-accept ip filter INPUT", "warning policy-accept ip6 filter INPUT",
			"warning open-service ip nat DOCKER rule 9", "warning open-service ip6 nat DOCKER rule 8",
		},
		"docker28": {
			"warning policy-accept ip filter INPUT", "warning policy-accept ip6 filter INPUT",
			"warning open-service ip nat DOCKER rule 9", "warning open-service ip6 nat DOCKER rule 8",
		},
		"kube-proxy": {
			"warning policy-accept ip filter INPUT", "note policy-accept ip filter FORWARD",
			"warning policy-accept ip6 filter INPUT", "note policy-accept ip6 filter FORWARD",
		},
		"router": {"note family-gap ip filter INPUT rule 10", "warning open-service ip nat PREROUTING rule 6"},
	}
	subjects := realSubjects(t)
	for name, list := range subjects {
		var got []string
		for _, f := range audit(t, AuditInput{Subjects: list}, postureNames[:]...) {
			got = append(got, fmt.Sprintf("%v %s %v %v", f.Severity, f.Name, f.Place.Family, f.Place))
			if f.Example == nil {
				t.Errorf("%s: %s has no example", name, f.Name)
			}
		}
		if !slices.Equal(got, want[name]) {
			t.Errorf("%s: found\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want[name], "\n"))
		}
	}
	for name := range want {
		if subjects[name] == nil {
			t.Errorf("there is no ruleset %s", name)
		}
	}
}

// realSubjects are the rulesets of package rulesets by name, both families together.
func realSubjects(t *testing.T) map[string][]*Subject {
	files, err := rulesets.All()
	if err != nil {
		t.Fatal(err)
	}
	list := map[string][]*Subject{}
	for _, f := range files {
		r, err := load.Text(f.FileName(), []byte(f.Text), f.Family)
		if err != nil {
			t.Fatal(err)
		}
		list[f.Name] = append(list[f.Name], NewSubject(r, false))
	}
	return list
}
