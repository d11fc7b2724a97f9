package guard

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"moat/internal/lab"
)

// outside is the network namespace that the tests were started in.
var outside string

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of it waits for what must not come; without this, only as many tests run
	// at once as there are processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	outside, _ = os.Readlink(ownNamespace) // isInside wants to have it
	os.Exit(lab.Main(m))
}

// ownNamespace names the calling thread's network namespace.
const ownNamespace = "/proc/thread-self/ns/net"
