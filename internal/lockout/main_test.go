package lockout

import (
	"flag"
	"fmt"
	"os"
	"testing"

	_ "moat/internal/cli" // go test then runs again when the program has changed, which is built only as the tests run
	"moat/internal/sshlab"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Cases wait for the network more than they compute; without this, only as
	// many run at once as there are processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(sshlab.Main(m))
}
