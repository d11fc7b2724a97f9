package guard

import (
	"os"
	"testing"

	"moat/internal/lab"
)

// outside is the network namespace that the tests were started in.
var outside string

func TestMain(m *testing.M) {
	outside, _ = os.Readlink(ownNamespace) // isInside wants to have it
	os.Exit(lab.Main(m))
}

// ownNamespace names the calling thread's network namespace.
const ownNamespace = "/proc/thread-self/ns/net"
