package judge

import "fmt"

// matchU32 looks at fields of headers by offset.
func (g *generator) matchU32() string {
	tests := []string{"6&0xFF=0x6", "6&0xFF=0x11", "6&0xFF=0x1", "0&0xFFFF=0x0:0x3c", "0>>24=0x45,0x46", "0>>22&0x3C@0>>16=22,53,80:443",
		"0>>22&0x3C@0&0xFFFF=80:8080", "4&0x3FFF=0 && 8>>24=64", "16=0xCB007101", "0>>22&0x3C@8=0:100", "60=0", "12=0:0xA0000000"}
	if g.v6() {
		tests = []string{"6>>24=0x6,0x11", "4&0xFF00=0x600", "40>>16=22,53,80:443", "4&0xFF=64", "36=1", "44=1000", "90=0", "24=0x20010db8 && 28=0:0x00020000"}
	}
	return "-m u32 " + g.not() + `--u32 "` + pick(g, tests) + `"`
}

func (g *generator) matchString() string {
	return fmt.Sprintf("-m string --algo %s%s%s%s %s--string %q", pick(g, []string{"bm", "kmp"}), g.some(fmt.Sprintf(" --from %d", pick(g, []int{0, 20, 40, 50})), 30),
		g.some(fmt.Sprintf(" --to %d", pick(g, []int{52, 60, 64, 100, 1000})), 40), g.some(" --icase", 30), g.not(), pick(g, []string{"moat", "GET", "get", "/moat", "M", "html"}))
}

// matchBPF loads a field and compares it, or adds and compares.
func (g *generator) matchBPF() string {
	proto := 9
	if g.v6() {
		proto = 6
	}
	return "-m bpf --bytecode \"" + pick(g, []string{
		fmt.Sprintf("4,48 0 0 %d,21 0 1 6,6 0 0 1,6 0 0 0", proto),
		fmt.Sprintf("4,48 0 0 %d,21 0 1 17,6 0 0 1,6 0 0 0", proto),
		"4,40 0 0 2,53 0 1 60,6 0 0 1,6 0 0 0",
		"5,48 0 0 1,84 0 0 15,37 0 1 2,6 0 0 1,6 0 0 0",
		"4,32 0 0 60,21 0 1 0,6 0 0 1,6 0 0 0",
		"4,128 0 0 0,37 0 1 64,6 0 0 1,6 0 0 0",
	}) + `"`
}
