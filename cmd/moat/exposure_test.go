package main

import (
	"strings"
	"testing"

	"moat/internal/lab"
)

func TestExposure(t *testing.T) {
	h := lab.Netns(t)
	const head = "*filter\n:INPUT DROP [0:0]\n"
	file := ruleFiles(t, map[string]string{
		"v4": head + "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 4711 -j ACCEPT\nCOMMIT\n",
		"v6": head + "-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n", "broken": "*filter\n-A INPUT --dport\nCOMMIT\n",
	})
	for _, c := range []struct {
		args   []string
		stdout string // is in it
		stderr string // is in it
		code   int
	}{
		{[]string{"--rules", file("v4")}, "\n4711  tcp             192.0.2.0/24  INPUT 1\n", "", 0},
		{[]string{"--rules", file("v4"), "--rules", file("v6")}, "\nIPv6    any   icmpv6           any           INPUT 1\n", "", 0},
		{[]string{"--rules", file("v4"), "--rules", file("v6"), "-6"}, "\nany   icmpv6           any   INPUT 1\n", "", 0},
		{[]string{"--rules", file("v4"), "--json"}, `"ports": "4711"`, "", 0},
		{nil, "\nboth    any   any             any   policy of INPUT  -\n", "", 0},
		{[]string{"--rules", file("v4"), "--rules", file("v4")}, "", "are both rules of IPv4", 2},
		{[]string{"--rules", file("broken")}, "", file("broken") + ":2", 2},
		{[]string{"--nosuch"}, "", "moat: exposure: unknown flag: --nosuch", 2},
	} {
		got := call(t, h, "moat", append([]string{"exposure"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) || (c.stderr == "") != (got.stderr == "") {
			t.Errorf("moat exposure %q: %+v, want %+v", c.args, got, c)
		}
	}
}
