package lockout

import (
	"strings"
	"testing"

	"moat/internal/lab"
)

// The daemon and its client, which keep all they have in the lab.
const (
	startDocker = "nohup dockerd --data-root /root/docker --exec-root /root/exec --pidfile /root/docker.pid -H unix:///root/docker.sock" +
		" --storage-driver vfs >/root/docker.log 2>&1 &\n" +
		"for i in $(seq 600); do docker version >/dev/null 2>&1 && exit 0; sleep 0.05; done; cat /root/docker.log; exit 1"
	dockerClient = "export DOCKER_HOST=unix:///root/docker.sock PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin; "
)

func TestDockerDoesNotNoticeTheGuard(t *testing.T) {
	t.Parallel()
	needs(t, "dockerd", "/usr/bin/docker")
	b := newBoth(t, func() []lab.Mount {
		return []lab.Mount{{From: t.TempDir(), To: "/etc/docker"}, {From: t.TempDir(), To: "/run/docker"}}
	})
	if o := b.free.Console(dockerClient + startDocker); o.Code != 0 {
		t.Skip("dockerd does not run here, guard or not: ", show(o))
	}
	if o := b.sh.RunWithin(programWait, dockerClient+startDocker); o.Code != 0 || !b.sh.Alive() {
		t.Fatal(show(o))
	}
	for _, command := range []string{
		"docker network create --subnet 10.99.0.0/24 -o com.docker.network.bridge.name=moat-test test >/dev/null",
		"docker network rm test",
		"kill $(cat /root/docker.pid); while [ -e /root/docker.sock ]; do sleep 0.02; done",
	} {
		b.run(t, dockerClient+command, obeyed)
	}
	if log := b.guarded.MustConsole("cat /root/docker.log"); strings.Contains(log, "moat") || strings.Contains(log, "level=error") {
		t.Errorf("the log of dockerd:\n%s", log)
	}
	if s := b.guarded.State(); !strings.Contains(s, "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE") {
		t.Errorf("Docker's own rules are gone:\n%s", s)
	}
}
