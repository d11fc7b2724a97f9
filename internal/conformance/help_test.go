package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// asksHelp tells whether a command's answer is a help text. Its prose is ours.
func asksHelp(c command) bool {
	return slices.Contains(c.words, "-h") || slices.Contains(c.words, "--help")
}

// longOption is a long option as a help text writes it.
var longOption = regexp.MustCompile(`--[a-z][a-z0-9-]*`)

// compareHelp tells what a help text lacks of Debian's: the usage lines, each
// long option, and the lists of ICMP types word for word, which firewalld
// reads; empty when it lacks nothing.
func compareHelp(want, got string) string {
	for _, line := range strings.Split(want, "\n") {
		if strings.HasPrefix(line, "Usage: ") && !strings.Contains(got, line) {
			return fmt.Sprintf("help lacks %q", line)
		}
	}
	for _, option := range longOption.FindAllString(want, -1) {
		if !strings.Contains(got, option) {
			return fmt.Sprintf("help lacks the option %s", option)
		}
	}
	if at := strings.Index(want, "Valid ICMP"); at >= 0 && !strings.HasSuffix(got, want[at:]) {
		return "help does not end in Debian's list of ICMP types"
	}
	return ""
}
