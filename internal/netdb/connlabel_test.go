package netdb

import (
	"os"
	"path/filepath"
	"testing"
)

// TestConnLabels reads lines as iptables 1.8.9 was seen to read them.
func TestConnLabels(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "xtables"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := "# comment\n0 eth0-in\n1\teth0-out\n  2   ppp-in\n3 a b\n128 toobig\n0x4 hex\nfoo bar\n5 dup\n6 dup\n7 q\"x\n8 # c\n9 trail   \n" +
		"1 again\n11 UPPER\n12 12x\n13 under_score\n017 octal\n65536 beyond\n23\n"
	if err := os.WriteFile(filepath.Join(dir, "xtables", "connlabel.conf"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	warnings := 0
	d := &DB{Etc: dir, Warn: func(string) { warnings++ }}
	for name, want := range map[string]uint16{
		"eth0-in": 0, "eth0-out": 1, "ppp-in": 2, "a b": 3, "toobig": 128, "hex": 4, "dup": 5, "trail": 9, "UPPER": 11, "12x": 12, "octal": 15,
	} {
		if got, ok, err := d.ConnLabel(name); got != want || !ok || err != nil {
			t.Errorf("%s: %d, %v, %v; want %d", name, got, ok, err, want)
		}
		if got := d.ConnLabelName(want); got != name {
			t.Errorf("label %d: %q, want %q", want, got, name)
		}
	}
	for _, name := range []string{"a", "bar", "q\"x", "again", "upper", "under_score", "beyond", ""} {
		if n, ok, _ := d.ConnLabel(name); ok {
			t.Errorf("%s is label %d", name, n)
		}
	}
	for _, label := range []uint16{6, 7, 8, 13, 23, 40} {
		if name := d.ConnLabelName(label); name != "" {
			t.Errorf("label %d is %q", label, name)
		}
	}
	if warnings != 0 {
		t.Errorf("%d warnings", warnings)
	}
}

// TestConnLabelsWarnOnce tells of a missing file, once.
func TestConnLabelsWarnOnce(t *testing.T) {
	var warnings []string
	d := &DB{Etc: t.TempDir(), Warn: func(line string) { warnings = append(warnings, line) }}
	want := "Warning: cannot open " + d.Etc + "/xtables/connlabel.conf: No such file or directory"
	for range 2 {
		if name := d.ConnLabelName(1); name != "" {
			t.Errorf("label 1 is %q", name)
		}
	}
	if len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	if _, ok, err := d.ConnLabel("x"); ok || err == nil {
		t.Errorf("a label of a missing file: %v, %v", ok, err)
	}
}

// TestDeviceGroups reads a file of iproute2.
func TestDeviceGroups(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "iproute2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "iproute2", "group"), []byte("# names\n0\tdefault\n0x10 lan # all of it\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &DB{Etc: dir}
	if n, ok := d.DeviceGroup("lan"); n != 16 || !ok {
		t.Errorf("lan: %d, %v", n, ok)
	}
	if name := d.DeviceGroupName(0); name != "default" {
		t.Errorf("group 0: %q", name)
	}
	if _, ok := d.DeviceGroup("nosuch"); ok {
		t.Error("nosuch is a group")
	}
}
