package judge

import "fmt"

func (g *generator) matchFrag() string {
	return "-m frag " + pick(g, []string{"--fragid 0", "--fragid 0:1", "! --fragid 0:1", "--fragfirst", "--fragmore", "--fraglast", "--fragres", "--fragid 0:5 --fragmore"})
}

// headerOptions are the conditions on hop-by-hop and destination options.
func (g *generator) headerOptions(name string) string {
	switch g.IntN(3) {
	case 0:
		return fmt.Sprintf("%s--%s-len %d", g.not(), name, pick(g, []int{8, 16, 24}))
	case 1:
		return fmt.Sprintf("--%s-opts %s", name, pick(g, []string{"1", "1:4", "5:2", "5", "5:2,1", "0"}))
	}
	return fmt.Sprintf("--%s-len %d --%s-opts %s", name, pick(g, []int{8, 16}), name, pick(g, []string{"1", "5:2"}))
}

func (g *generator) matchRT() string {
	return "-m rt " + pick(g, []string{"--rt-type 0", "! --rt-type 0", "--rt-type 2", "--rt-segsleft 0", "--rt-segsleft 0:1", "! --rt-segsleft 1", "--rt-len 24", "! --rt-len 16",
		"--rt-type 0 --rt-0-res", "--rt-type 0 --rt-0-addrs 2001:db8:1::1 --rt-0-not-strict", "--rt-type 0 --rt-0-addrs 2001:db8:2::1"})
}
