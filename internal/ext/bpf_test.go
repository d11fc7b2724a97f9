package ext

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// TestBPFPinned holds a pinned program to the bytes and words that iptables 1.8.9
// was seen to write for one; to pin one takes rights that tests do not have everywhere.
func TestBPFPinned(t *testing.T) {
	info := make([]byte, 528)
	copy(info, "\x01\x00\x00\x00\x04\x00\x00\x00/mnt/prog")
	x := &BPF{Path: "/mnt/prog"}
	var b nft.Buffer
	x.Info(nft.NewInfo(&b), 1, rule.IPv4)
	if got := b.Bytes(); !bytes.Equal(got, info[:len(got)]) || len(got) != 520 {
		t.Errorf("written as %q, want %q", got, info[:520])
	}
	again := &BPF{}
	if err := again.Read(nft.NewInfoReader(info), 1, rule.IPv4); err != nil || !Equal(x, again) {
		t.Errorf("read as %+v, %v", again, err)
	}
	info[4] = 9 // the number of another process's file
	if err := again.Read(nft.NewInfoReader(info), 1, rule.IPv4); err != nil || !Equal(x, again) {
		t.Errorf("with another file: read as %+v, %v", again, err)
	}
	want := answer{save: "--object-pinned /mnt/prog", list: "match bpf pinned /mnt/prog", numeric: "match bpf pinned /mnt/prog"}
	if got := printed(x, rule.IPv4, &rule.Rule{}); got != want {
		t.Errorf("%swant\n%s", got, want)
	}
	c := &Context{Family: rule.IPv4, Rule: &rule.Rule{}, Names: testNames()}
	if _, err := parseOptions(&bpf, c, []string{"--object-pinned", "/" + strings.Repeat("a", xtBPFPathMax)}); err == nil {
		t.Error("a path that does not fit is taken")
	}
}

// TestBPFRefuses holds that bytes which iptables has no words for are no program.
func TestBPFRefuses(t *testing.T) {
	for name, begin := range map[string]string{
		"mode 2": "\x02\x00\x00\x00", "no instruction": "\x00\x00\x00\x00", "65 instructions": "\x00\x00\x41\x00", "no path": "\x01\x00\x00\x00",
	} {
		info := make([]byte, 528)
		copy(info, begin)
		if (&BPF{}).Read(nft.NewInfoReader(info), 1, rule.IPv4) == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// TestHelpTexts holds that lists of names in help have each name.
func TestHelpTexts(t *testing.T) {
	for def, name := range map[*Def]string{&tosMatch: "Maximize-Throughput", &mh: "binding-error (be)", &ipv6header: "none, ipv6-nonxt, 59"} {
		if text := def.HelpText(rule.IPv6); !strings.Contains(text, name) || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: %q lacks %q", def.Name, text, name)
		}
	}
}
