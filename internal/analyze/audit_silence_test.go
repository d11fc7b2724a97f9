package analyze

import (
	"slices"
	"strings"
	"testing"

	"moat/internal/rule"
)

func TestSilences(t *testing.T) {
	const dead = "-A INPUT -s 10.0.0.0/8 -p tcp -j ACCEPT\n-A INPUT -s 10.1.0.0/16 -p tcp -m comment --comment \"COMMENT\" -j DROP"
	for _, c := range []struct {
		comment, config string
		by              string // how what silences it begins; "" for nothing
	}{
		{"the office", "", ""},
		{"moat:ok shadowed", "", "the comment of filter INPUT rule 2"},
		{"the office; moat:ok useless, shadowed (Ann, 2024)", "", "the comment of filter INPUT rule 2"},
		{"moat:ok useless", "", ""},
		{"moat:ok all", "", "the comment of filter INPUT rule 2"},
		{"", "shadowed # for Ann", "c:1"},
		{"", "\n# nothing\nshadowed ip filter INPUT", "c:3"},
		{"", "all filter", "c:1"},
		{"", "shadowed ip6", ""},
		{"", "shadowed nat", ""},
		{"", "shadowed filter FORWARD", ""},
		{"", "useless", ""},
	} {
		s := subject(t, rule.IPv4, ":INPUT DROP\n"+strings.Replace(dead, "COMMENT", c.comment, 1))
		silences, err := ParseSilences("c", []byte(c.config))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Audit(AuditInput{Subjects: []*Subject{s}, Silences: silences})
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == "shadowed" })
		if at < 0 || !strings.HasPrefix(r.Findings[at].Silenced, c.by) || (c.by == "") != (r.Findings[at].Silenced == "") {
			t.Errorf("comment %q, config %q: %+v", c.comment, c.config, r.Findings)
			continue
		}
		if silenced := r.Silenced(); (silenced > 0) != (c.by != "") {
			t.Errorf("comment %q, config %q: %d silenced", c.comment, c.config, silenced)
		}
	}
}

func TestSilencesThatAreWrong(t *testing.T) {
	for _, c := range []struct{ config, err string }{
		{"shadow", `c:1: there is no finding "shadow"`},
		{"\nshadowed table", `c:2: there is no table "table"`},
		{"shadowed filter INPUT 3", `c:1: "3" is too much`},
	} {
		if _, err := ParseSilences("c", []byte(c.config)); err == nil || !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%q: %v, want %s", c.config, err, c.err)
		}
	}
	s := subject(t, rule.IPv4, "-A INPUT -p tcp -m comment --comment \"moat:ok shadwed\" -j DROP")
	r, err := Audit(AuditInput{Subjects: []*Subject{s}})
	if err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], `"shadwed" behind moat:ok is no finding's name`) {
		t.Errorf("%v, %q", err, r.Warnings)
	}
}

func TestAuditOfTwoRulesetsOfOneFamily(t *testing.T) {
	s := subject(t, rule.IPv4, "-A INPUT -j DROP")
	if _, err := Audit(AuditInput{Subjects: []*Subject{s, s}}); err == nil || !strings.Contains(err.Error(), "one ruleset of each family") {
		t.Error(err)
	}
}

// TestCommandsAreReadAsTheyWereMeant quotes words so that a shell gives them back.
func TestCommandsAreReadAsTheyWereMeant(t *testing.T) {
	s := subject(t, rule.IPv4, `-A INPUT -p tcp ! -s 10.0.0.0/8 -m comment --comment "it's \"$HOME\" \\ !" -j DROP`+"\n"+`-A INPUT -p tcp -m comment --comment "a b" -j DROP`)
	var got []string
	for n := range 2 {
		op := s.remove("filter", "INPUT", n+1)
		got = append(got, s.command(&op))
	}
	want := []string{
		`iptables -D INPUT ! -s 10.0.0.0/8 -p tcp -m comment --comment 'it'\''s "$HOME" \ !' -j DROP`,
		`iptables -D INPUT -p tcp -m comment --comment "a b" -j DROP`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
