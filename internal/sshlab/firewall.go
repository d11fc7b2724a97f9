package sshlab

import (
	"regexp"
	"strings"

	"github.com/vishvananda/netlink"
)

// State gives all rules and policies of both families, without comments and
// counters.
func (l *Lab) State() string {
	l.tb.Helper()
	counters := regexp.MustCompile(`(?m) ?\[\d+:\d+\] ?`)
	var b strings.Builder
	for line := range strings.Lines(l.MustConsole("iptables-save; echo; ip6tables-save")) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(counters.ReplaceAllString(line, ""))
		}
	}
	return b.String()
}

// Reset makes the server as new: no tables, no sets, no connection tracked, and
// the guard on.
func (l *Lab) Reset() {
	l.tb.Helper()
	l.MustConsole("nft flush ruleset; rm -f /run/moat/*; if command -v ipset >/dev/null; then ipset destroy; fi")
	err := l.Server.Do(func() error {
		// Without rules the kernel stops tracking but keeps what it has tracked; it
		// would take later packets of those connections for invalid ones.
		return netlink.ConntrackTableFlush(netlink.ConntrackTable)
	})
	if err != nil {
		l.tb.Fatalf("sshlab: flush the connections: %v", err)
	}
}
