package lockout

import (
	"fmt"
	"testing"
)

// ways are the ways in which a command may be given.
var ways = []struct {
	name, format string
	noisy        bool
}{
	{"by its full path", "/usr/sbin/%s", false},
	{"as a command of moat", "moat %s", false},
	{"env -i", "env -i PATH=$PATH %s", false},
	{"env -i with the full path", "env -i /usr/sbin/%s", false},
	{"sh -c", "sh -c '%s'", false},
	{"setsid", "setsid -w %s", false},
	{"setsid and env -i", "setsid -w env -i /usr/sbin/%s", false},
	{"sudo", "sudo %s", true},
	{"sudo to another user and back", "sudo -u nobody true; sudo env -i /usr/sbin/%s", true},
	{"in the background", "nohup %s & wait $!", true},
	{"a script file", "printf '#!/bin/sh\\n%s\\n' >/root/script; chmod +x /root/script; /root/script", false},
	{"timeout and nice", "timeout 20 nice %s", false},
	{"without the variables", "env -u SSH_CONNECTION -u SSH_CLIENT %s", false},
	{"a job whose parents are gone", "rm -f /root/code; ((%s 2>/root/errors; echo $? >/root/code) &); " +
		"until [ -s /root/code ]; do sleep 0.01; done; cat /root/errors >&2; exit $(cat /root/code)", false},
}

func TestCommandIsRefusedWhateverItIsCalledBy(t *testing.T) {
	g := group{family: "4"}
	for _, w := range ways {
		g.cases = append(g.cases, lockoutCase{
			name: w.name, run: fmt.Sprintf(w.format, "iptables -P INPUT DROP"), noisy: w.noisy,
			names: []string{policy("INPUT, table filter"), in},
		})
	}
	g.run(t)
}
