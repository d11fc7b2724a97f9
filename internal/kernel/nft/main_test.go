package nft

import (
	"os"
	"testing"

	"moat/internal/lab"
)

// The tests make network namespaces: as root, or in a user namespace.
func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
