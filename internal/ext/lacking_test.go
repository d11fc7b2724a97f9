package ext

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"moat/internal/rule"
)

// lackingCase is an extension's options that the kernels of our tests refuse:
// they lack the extension, or what an option names. The file holds what Debian's
// program sent and, when such a rule was shown to it as the kernel's, printed.
type lackingCase struct {
	line     int
	section  section
	def      *Def
	options  []string
	want     answer
	revision uint8
	bytes    string // without zeros at the end
}

// TestWhatKernelsLack reads, writes and prints what is in testdata/lacking.txt.
func TestWhatKernelsLack(t *testing.T) {
	seen := map[string]int{}
	for _, c := range readLacking(t) {
		seen[c.def.Name]++
		c.check(t)
	}
	for _, name := range []string{"CLUSTERIP", "LED", "SECMARK", "ULOG"} {
		if seen[name] == 0 {
			t.Errorf("no line for %s", name)
		}
	}
}

func readLacking(t *testing.T) []*lackingCase {
	t.Helper()
	data, err := os.ReadFile("testdata/lacking.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*lackingCase
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if answer, isAnswer := strings.CutPrefix(line, "\t"); isAnswer {
			if err := cases[len(cases)-1].take(answer); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			continue
		}
		words, err := shellWords(line)
		if err != nil || len(words) < 3 {
			t.Fatalf("line %d: %v", i+1, err)
		}
		cases = append(cases, &lackingCase{
			line: i + 1, section: section{program: words[0], table: words[1]},
			def: Find(Target, words[2], rule.IPv4), options: words[3:],
		})
	}
	return cases
}

// take reads a line of what Debian's program made of the case.
func (c *lackingCase) take(line string) error {
	word, text, _ := strings.Cut(line, " ")
	switch word {
	case "revision":
		n, err := strconv.ParseUint(text, 10, 8)
		c.revision = uint8(n)
		return err
	case "bytes":
		c.bytes = text
		return nil
	}
	return c.want.take(line)
}

func (c *lackingCase) check(t *testing.T) {
	t.Helper()
	place := fmt.Sprintf("testdata/lacking.txt:%d", c.line)
	context := &Context{Family: rule.IPv4, Table: c.section.table, Rule: &rule.Rule{}, Names: testNames()}
	x, err := parseOptions(c.def, context, c.options)
	if err != nil {
		t.Errorf("%s: %v", place, err)
		return
	}
	again, info := encodeExt(t, place, x, &c.section, onlyRevision(c.revision))
	if got := strings.TrimRight(hex.EncodeToString(info), "0"); got != strings.TrimRight(c.bytes, "0") {
		t.Errorf("%s: written as %s, Debian writes %s", place, got, c.bytes)
	}
	if again == nil {
		return
	}
	if !Equal(again, x) {
		t.Errorf("%s: %+v comes back as %+v", place, x, again)
	}
	if got := printed(again, rule.IPv4, &rule.Rule{}); got != c.want {
		t.Errorf("%s:\ngot\n%swant\n%s", place, got, c.want)
	}
}

// onlyRevision is a kernel that has one revision of everything.
type onlyRevision uint8

func (r onlyRevision) HasRevision(_ rule.Family, _ Kind, _ string, rev uint8) bool {
	return rev == uint8(r)
}

// TestOlderRevisions writes what older kernels understand and reads it again:
// all that their structs hold.
func TestOlderRevisions(t *testing.T) {
	for _, c := range []struct {
		rev  uint8
		ext  Ext
		want string // save form of what comes back
	}{
		{0, &CT{NoTrack: true, Alias: true}, ""},
		{1, &CT{NoTrack: true, Alias: true}, ""},
		{0, &CT{Helper: "ftp", Timeout: "lost", Zone: 3, Orig: true}, " --helper ftp --zone-orig 3"},
		{1, &CT{Helper: "ftp", Timeout: "kept"}, " --helper ftp --timeout kept"},
		{1, &ConnMarkTarget{Mode: ConnMarkSave, CtMask: 1, PktMask: 2, Shift: 3}, " --save-mark --nfmask 0x2 --ctmask 0x1"},
		{0, &NFQueue{First: 5, Count: 4, Bypass: true}, " --queue-num 5"},
		{1, &NFQueue{First: 5, Count: 4, Bypass: true}, " --queue-balance 5:8"},
		{2, &NFQueue{First: 5, Count: 4, Bypass: true, Fanout: true}, " --queue-balance 5:8 --queue-bypass"},
		{0, &IdleTimer{Timeout: 5, Label: "a", Alarm: true}, " --timeout 5 --label a"},
		{0, &SecMark{Context: "a:b"}, " --selctx a:b"},
		{0, tproxyExample(), " --on-port 80 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x3"},
	} {
		place := fmt.Sprintf("revision %d of %s", c.rev, c.ext.Name())
		again, _ := encodeExt(t, place, c.ext, &section{program: "iptables"}, onlyRevision(c.rev))
		if again == nil {
			continue
		}
		p := &Printer{Family: rule.IPv4, Names: testNames()}
		again.Save(p)
		if string(p.B) != c.want {
			t.Errorf("%s: comes back as %q, want %q", place, p.B, c.want)
		}
	}
}

func tproxyExample() Ext {
	x := tproxy.New(rule.IPv4).(*TProxy)
	x.Port, x.Value, x.Mask = 80, 1, 3
	return x
}
