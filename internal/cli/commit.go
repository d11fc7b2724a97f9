package cli

import (
	"io"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"

	"moat/internal/commit"
	"moat/internal/guard"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/session"
)

// WatchdogCommand is the hidden command of moat by which this binary becomes the
// watchdog of a timed change.
const WatchdogCommand = "watchdog"

// runApply is iptables-apply and ip6tables-apply.
func runApply(env Env, f rule.Family) int {
	return commit.Main(Timed(env.Stdin, env.Stdout, env.Stderr), f, env.Args)
}

// Timed is the world of a change on the timer, made by the caller of this
// process; protect is for the guard.
func Timed(stdin *os.File, stdout, stderr io.Writer, protect ...guard.Protected) commit.Env {
	env := Rescue(stdout, stderr)
	env.Environ, env.Stdin = os.Environ(), stdin
	env.Firewall = Firewall(Guarded(stderr, protect...))
	env.Who = who(stderr)
	env.Existing = existing
	return env
}

// Rescue is that world for whoever only puts old rules back: it does not matter
// who that is.
func Rescue(stdout, stderr io.Writer) commit.Env {
	back := Firewall(Unguarded())
	return commit.Env{
		Version: Version, Stdout: stdout, Stderr: stderr, Firewall: back, WayBack: back,
		Watchdog: []string{"moat", WatchdogCommand},
	}
}

// FinishPending sees to a timed change that is pending; nearly always there is none.
func FinishPending() {
	if commit.IsPending("") {
		commit.Finish(Rescue(os.Stdout, os.Stderr))
	}
}

// who tells who the caller is. What cannot be found out is left out.
func who(stderr io.Writer) commit.Who {
	w := commit.Who{User: strconv.Itoa(os.Getuid()), SudoUser: os.Getenv("SUDO_USER"), Terminal: terminal()}
	if u, err := user.Current(); err == nil {
		w.User = u.Username
	}
	list, lost, err := session.Find(session.Here())
	if w.Unknown = lost || err != nil; err != nil {
		_, _ = io.WriteString(stderr, "moat: warning: your connection is not known: "+err.Error()+"\n")
	}
	for _, s := range list {
		w.Sessions = append(w.Sessions, commit.Connection{
			Proto: s.Proto, Client: withoutZone(s.Client), Server: withoutZone(s.Server),
			Gone: !s.Live || s.Client.Port() == 0, PID: s.PID,
		})
	}
	return w
}

// terminal is the one that a standard stream of this process is, "pts/3".
func terminal() string {
	for _, fd := range [...]string{"0", "1", "2"} {
		path, err := os.Readlink("/proc/self/fd/" + fd)
		if name, isDevice := strings.CutPrefix(path, "/dev/"); err == nil && isDevice && (strings.HasPrefix(name, "pts/") || strings.HasPrefix(name, "tty")) {
			return name
		}
	}
	return ""
}

// existing lists the connections that are established.
func existing() (list []commit.Connection, err error) {
	for _, proto := range [...]uint8{packet.ProtoTCP, packet.ProtoUDP} {
		sockets, err := host.Established(proto)
		if err != nil {
			return nil, err
		}
		for _, s := range sockets {
			list = append(list, commit.Connection{Proto: proto, Client: withoutZone(s.Remote), Server: withoutZone(s.Local)})
		}
	}
	return list, nil
}

// withoutZone gives an address as sockets are listed.
func withoutZone(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}
