package judge

import (
	"flag"
	"os"
	"testing"

	"moat/internal/lab"
)

var (
	rulesets = flag.Int("judge.rulesets", 100, "random rulesets of each family")
	shots    = flag.Int("judge.packets", 500, "random packets for each ruleset")
	seed     = flag.Uint64("judge.seed", 1, "first seed: each ruleset has its own, one after the other")
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
