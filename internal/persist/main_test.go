package persist_test

import (
	"os"
	"testing"

	"moat/internal/persist/persisttest"
)

func TestMain(m *testing.M) {
	if step := os.Getenv(killStep); step != "" {
		writeAndDie(step, os.Getenv(killPath))
		os.Exit(0)
	}
	os.Exit(persisttest.Main(m))
}
