package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/cli"
	"moat/internal/lab"
)

// TestLegacyTablesAreThoseOfTheThreadsNamespace lists the rules of a namespace
// from a thread that alone is in it: what the process's first thread sees is of
// another one.
func TestLegacyTablesAreThoseOfTheThreadsNamespace(t *testing.T) {
	h, other := lab.Netns(t), lab.Netns(t)
	if out, err := h.Command("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT").CombinedOutput(); err != nil {
		t.Skipf("iptables-legacy does not work here: %v\n%s", err, out)
	}
	for _, c := range []struct {
		host *lab.Host
		want string
	}{{h, "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"}, {other, ""}} {
		var out, errs bytes.Buffer
		err := c.host.Do(func() error {
			cli.Find("iptables-save").Run(cli.Env{Program: "iptables-save", Stdout: &out, Stderr: &errs})
			return nil
		})
		if err != nil || !strings.HasSuffix(errs.String(), c.want) || c.want == "" && errs.Len() > 0 {
			t.Errorf("%v, %q, want %q", err, errs.String(), c.want)
		}
	}
}
