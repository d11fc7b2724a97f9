package secure

import (
	"os"
	"testing"

	"moat/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
