package cli

import (
	"os"
	"strings"

	"moat/internal/rule"
)

// warnLegacy says on standard error that tables of iptables-legacy are in
// force beside those that were listed, as iptables-nft does.
func (env Env) warnLegacy(f rule.Family) {
	path, program := "/proc/net/ip_tables_names", "iptables"
	if f == rule.IPv6 {
		path, program = "/proc/net/ip6_tables_names", "ip6tables"
	}
	names, err := os.ReadFile(path)
	if err != nil || len(names) == 0 {
		return // no such tables, or no right to know
	}
	suffix := ""
	if strings.HasSuffix(env.Program, "-save") {
		suffix = "-save"
	}
	env.complain("# Warning: " + program + "-legacy tables present, use " + program + "-legacy" + suffix + " to see them")
}
