package cli

import (
	"strings"

	"moat/internal/host"
	"moat/internal/rule"
)

// warnLegacy says on standard error that tables of iptables-legacy are in
// force beside those that were listed, as iptables-nft does.
func (env Env) warnLegacy(f rule.Family) {
	tables, err := host.LegacyTables(f)
	if err != nil || len(tables) == 0 {
		return // no such tables, or no right to know
	}
	suffix := ""
	if strings.HasSuffix(env.Program, "-save") {
		suffix = "-save"
	}
	legacy := f.Program() + "-legacy"
	env.complain("# Warning: " + legacy + " tables present, use " + legacy + suffix + " to see them")
}
