package host

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"moat/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// read reads the facts of a lab's host.
func read(t testing.TB, h *lab.Host) *Facts {
	t.Helper()
	var f *Facts
	if err := h.Do(func() (err error) { f, err = Read(); return err }); err != nil {
		t.Fatal(err)
	}
	return f
}

// sh runs a script on a host, which must succeed.
func sh(t testing.TB, h *lab.Host, script string) string {
	t.Helper()
	out, err := h.Sh("set -e\n" + script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// addrs reads a list of addresses.
func addrs(list string) (out []netip.Addr) {
	for word := range strings.FieldsSeq(list) {
		out = append(out, netip.MustParseAddr(word))
	}
	return out
}
