package guard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigErrorsHaveTheirPlace(t *testing.T) {
	for _, c := range [...]struct{ text, want string }{
		{`protect = ["tcp 22 from 198.51.100.0/24", "udp 60001 from 2001:db8::7"]`, ""},
		{``, ""},
		{"# nothing\n", ""},
		{"\nprotct = []", `moat.toml:2:1: there is no setting "protct"; known is protect`},
		{"protect = [", "moat.toml:1:"},
		{`protect = "tcp 22"`, "moat.toml:1:"},
		{`protect = ["tcp from 1.2.3.4"]`, `moat.toml: protect "tcp from 1.2.3.4": want "tcp PORT from NETWORK"`},
		{`protect = ["tcp 0 from 1.2.3.4"]`, `port "0": want 1-65535`},
		{`protect = ["tcp 70000 from 1.2.3.4"]`, `port "70000": want 1-65535`},
		{`protect = ["icmp 8 from 1.2.3.4"]`, `protocol "icmp": want`},
		{`protect = ["tcp 22 from 1.2.3"]`, `network "1.2.3": want`},
		{`protect = ["tcp 22 to 1.2.3.4"]`, "want"},
	} {
		path := filepath.Join(t.TempDir(), "moat.toml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readConfig(path)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%q: %v; want %s", c.text, err, c.want)
		}
	}
	if list, err := readConfig(filepath.Join(t.TempDir(), "none")); list != nil || err != nil {
		t.Errorf("without a file: %v, %v", list, err)
	}
}

func TestProtectedHostBitsAreDropped(t *testing.T) {
	p, err := ParseProtected("tcp  22 from 198.51.100.7/24")
	if err != nil || p.From.String() != "198.51.100.0/24" || p.Text != "tcp 22 from 198.51.100.7/24" {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzParseProtected(f *testing.F) {
	f.Add("tcp 22 from 198.51.100.0/24")
	f.Add("udp 60001 from fe80::1%eth0")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProtected(text)
		if err != nil {
			return
		}
		if again, err := ParseProtected(p.Text); err != nil || again != p || !p.From.IsValid() || p.Port == 0 {
			t.Fatalf("%q gives %+v, and that %+v, %v", text, p, again, err)
		}
	})
}
