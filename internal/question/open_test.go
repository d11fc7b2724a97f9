package question

import (
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

func TestOpenRangeHasNoDefaults(t *testing.T) {
	r, err := ParseOpen("tcp to any:22", Options{Family: rule.IPv4})
	if err == nil {
		t.Fatalf("read without a source: %+v", r)
	}
	r, err = ParseOpen("tcp from any to any:22", Options{Family: rule.IPv4})
	if err != nil {
		t.Fatal(err)
	}
	if r.States != nil || r.Flags != nil || r.Mark != nil || r.ConnMark != nil || r.Fragment != packet.Unknown || r.WayTold {
		t.Errorf("has a default: %+v", r)
	}
	closed, err := ParseRange("tcp from any to any:22", Options{Family: rule.IPv4})
	if err != nil {
		t.Fatal(err)
	}
	if closed.States == nil || closed.Flags == nil || closed.Mark == nil {
		t.Errorf("ParseRange has no defaults: %+v", closed)
	}
}

func TestNearestWord(t *testing.T) {
	for word, want := range map[string]string{"expects": "expect", "packte": "packet", "zzzzzz": ""} {
		if got := Nearest(word, []string{"expect", "packet"}); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
