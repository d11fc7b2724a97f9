package judge

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"moat/internal/rule"
)

// kind is a kind of host on which rulesets are judged.
type kind struct {
	family  rule.Family
	tracked bool
}

var kinds = [...]kind{{rule.IPv4, true}, {rule.IPv6, true}, {rule.IPv4, false}, {rule.IPv6, false}}

func (k kind) String() string {
	if k.tracked {
		return k.family.Program() + "/tracked"
	}
	return k.family.Program() + "/untracked"
}

// Every random ruleset does to every random packet what the simulator says, and
// counts it where the simulator says. Without connection tracking there are
// fragments too, which it would put together: a quarter of the rulesets.
func TestKernelAgreesWithTheSimulator(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			n := *rulesets - *rulesets/4
			if !k.tracked {
				n = *rulesets / 4
			}
			h := newHost(t, k.family, k.tracked)
			for i := range n {
				one := *seed + uint64(i)
				if !t.Run(fmt.Sprint(one), func(t *testing.T) { judgeSeed(t, h, one) }) {
					return
				}
			}
		})
	}
}

// judgeSeed judges the ruleset and packets of a seed.
func judgeSeed(t *testing.T, h *host, seed uint64) {
	runtime.LockOSThread() // see host.ring
	defer runtime.UnlockOSThread()
	g := &generator{Rand: source(seed, h.family), family: h.family, tracked: h.tracked, oneUser: hasOneUser(t)}
	r := g.ruleset()
	h.mustAgree(t, r, g.shots(h, *shots), seed%2 == 0)
}

// hasOneUser reports whether this is a user namespace with one user: the third
// number of /proc/self/uid_map (user_namespaces(7)) is how many there are.
func hasOneUser(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b))
	return len(fields) == 3 && fields[2] == "1"
}
