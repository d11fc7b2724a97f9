package judge

import "strings"

func (g *generator) stateList(nat bool) string {
	words := []string{"NEW", "NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}
	if nat {
		words = append(words, "SNAT", "DNAT")
	}
	return g.list(words)
}

// matchConntrack asks one or two things of the connection.
func (g *generator) matchConntrack() string {
	one := g.conntrackOption()
	if two := g.conntrackOption(); g.chance(30) && strings.Fields(strings.TrimPrefix(two, "! "))[0] != strings.Fields(strings.TrimPrefix(one, "! "))[0] {
		one += " " + two
	}
	return "-m conntrack " + one
}

func (g *generator) conntrackOption() string {
	switch n := g.IntN(10); {
	case n < 3:
		return g.not() + "--ctstate " + g.stateList(true)
	case n == 3:
		return g.not() + "--ctproto " + pick(g, []string{"6", "17", "1", "58", "132"})
	case n < 6:
		return g.not() + pick(g, []string{"--ctorigsrc ", "--ctorigdst ", "--ctreplsrc ", "--ctrepldst "}) + g.anyAddress() + pick(g, []string{"", "/24", "/16"})
	case n < 8:
		return g.not() + pick(g, []string{"--ctorigsrcport ", "--ctorigdstport ", "--ctreplsrcport ", "--ctrepldstport "}) + g.span(22, 80, 1024, 20100, 33333, 65535)
	case n == 8:
		return g.not() + "--ctstatus " + g.list([]string{"NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"})
	}
	return "--ctdir " + pick(g, []string{"ORIGINAL", "REPLY"})
}
