// Package session finds out by which connections somebody works on this host:
// those that a change of the firewall must not cut off.
//
// The environment tells (SSH_CONNECTION), or the process's ancestors do: one of
// them holds a socket that it accepted from elsewhere, be it sshd, mosh, telnetd
// or a web terminal. Where both are gone, other processes of the same login
// have such ancestors. A console, a daemon or a boot script has none of that.
//
// Every iptables command of every script asks, so that nothing here reads whole
// tables of the kernel, or all of /proc, unless there is a login without a
// connection. Connections count in the network namespace of the calling thread
// only. Of one that this host made to itself, who made it counts (follow.go).
package session

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"moat/internal/host"
	"moat/internal/packet"
)

// Session is a connection by which somebody works on this host.
type Session struct {
	Proto uint8 // packet.ProtoTCP or packet.ProtoUDP
	// Client and Server as the socket has them, behind this host's own NAT. IPv4
	// of an IPv6 socket is IPv4; link-local addresses have their interface as
	// zone. The client's port is 0 where it is not known: a UDP server that is
	// not connected, on a host that does not track connections.
	Client, Server netip.AddrPort
	// Live says that the socket is in this network namespace now. False:
	// SSH_CONNECTION of a connection that is gone, as in tmux and under mosh;
	// only new ones of its kind count.
	Live bool
	// Own says that a process of this host itself made the connection, for which no
	// session is known: on a console, or a daemon that lets people in by a tunnel of
	// its own. Only Find gives those.
	Own     bool
	Program string // of the process that holds it, "sshd"; "" if not known
	PID     int    // of that process; 0 if not known
}

// Caller is the process that wants to know, as far as the environment tells of it.
type Caller struct {
	PID     int
	Environ []string
	Proc    string // "/proc"
}

// Here is this process.
func Here() Caller { return Caller{PID: os.Getpid(), Environ: os.Environ(), Proc: "/proc"} }

// Of gives the sessions that the caller belongs to; none for a console login, a
// daemon and a boot script. An error says that the kernel could not be asked,
// and that nothing else was found.
func Of(c Caller) ([]Session, error) {
	list, _, err := Find(c)
	if len(list) > 0 && list[0].Own {
		list = nil
	}
	return list, err
}

// Find is Of, but also gives the connections that this host made to itself (ssh
// localhost) if there are no others. lost says that the caller came by one of
// which it is not known who made it.
func Find(c Caller) (list []Session, lost bool, err error) {
	f := newFinder(c)
	f.find(c.PID, c.Environ)
	switch {
	case len(f.found) > 0:
		return f.found, false, nil
	case f.lost:
		return nil, true, f.err
	}
	return f.own, false, f.err
}

// find takes the sessions of a process.
func (f *finder) find(pid int, environ []string) {
	told, isTold := sshConnection(environ)
	if isTold {
		told.Live = f.isLive(told)
	}
	// Within a terminal multiplexer the variable tells who opened the window, not
	// who looks at it now.
	isCertain := told.Live && !inMultiplexer(environ)
	if isTold && f.isOwn(told.Client.Addr()) {
		if isCertain && f.follow(end{told.Proto, told.Server, told.Client}) {
			return
		}
		f.lost = f.lost || !told.Live // who was it that made a connection that is gone?
		isTold, told.Live, isCertain = false, false, false
	}
	if isCertain {
		f.add(told)
		return
	}
	guessed := f.search(pid)
	switch {
	case told.Live:
		f.add(told)
	case isTold && (guessed || len(f.found) == 0) && f.isServed(told.Server):
		f.add(told)
		f.addLike(told)
	}
}

// add adds a session unless it is there already.
func (f *finder) add(s Session) {
	if !slices.ContainsFunc(f.found, func(o Session) bool {
		return o.Proto == s.Proto && o.Client == s.Client && o.Server == s.Server
	}) {
		f.found = append(f.found, s)
	}
}

// addLike adds the connections from the client of one that is gone to the same
// port: whoever came back to a window, or to an editor's server, works by them.
func (f *finder) addLike(gone Session) {
	list, err := host.Established(gone.Proto)
	f.note(err)
	client := gone.Client.Addr().WithZone("")
	for _, s := range list {
		if s.Remote.Addr() == client && s.Local.Port() == gone.Server.Port() {
			f.add(Session{
				Proto: gone.Proto, Client: netip.AddrPortFrom(gone.Client.Addr(), s.Remote.Port()),
				Server: s.Local, Live: true,
			})
		}
	}
}

// variable finds a variable of an environment.
func variable(environ []string, name string) (string, bool) {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// sshConnection reads SSH_CONNECTION, see ssh(1): the client's address and port,
// the server's address and port. sshd writes "UNKNOWN" for what is no TCP.
func sshConnection(environ []string) (s Session, ok bool) {
	v, ok := variable(environ, "SSH_CONNECTION")
	fields := strings.Fields(v)
	if !ok || len(fields) != 4 {
		return s, false
	}
	s.Proto = packet.ProtoTCP
	if s.Client, ok = endpoint(fields[0], fields[1]); !ok {
		return s, false
	}
	s.Server, ok = endpoint(fields[2], fields[3])
	return s, ok
}

func endpoint(addr, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, false
	}
	p, ok := number(port)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok && p > 0 && p <= 0xffff
}

// isElsewhere reports whether an address can be another host's.
func isElsewhere(a netip.Addr) bool { return !a.IsLoopback() && !a.IsUnspecified() }

// isOwn reports whether an address is this host's.
func (f *finder) isOwn(a netip.Addr) bool {
	switch {
	case !isElsewhere(a):
		return true
	case !canBind(a): // a fifth of the time that the kernel's routes take
		return false
	}
	own, err := host.Owns(a)
	f.note(err)
	return own
}

// canBind says no if a socket cannot have the address, which is another host's
// then. Yes means less: a host may be set up to let sockets have any address.
func canBind(a netip.Addr) bool {
	if a.Zone() != "" {
		return true // it would have to be looked up, which is no faster
	}
	family, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: a.As16()})
	if a.Is4() {
		family, addr = unix.AF_INET, &unix.SockaddrInet4{Addr: a.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return unix.Bind(fd, addr) != unix.EADDRNOTAVAIL
}

// inMultiplexer reports whether the environment is of a window of one of the
// multiplexers that say so.
func inMultiplexer(environ []string) bool {
	for _, name := range [...]string{"TMUX", "STY", "ZELLIJ", "ABDUCO_SESSION"} {
		if v, _ := variable(environ, name); v != "" {
			return true
		}
	}
	return false
}

// isLive reports whether the connection's socket is in this namespace.
func (f *finder) isLive(s Session) bool {
	socket, found, err := host.FindSocket(s.Proto, s.Server, s.Client)
	f.note(err)
	return found && socket.State == host.SocketEstablished
}

// isServed reports whether a server's address is this namespace's, and new
// connections find somebody there.
func (f *finder) isServed(server netip.AddrPort) bool {
	own, err := host.Owns(server.Addr())
	f.note(err)
	if !own {
		return false
	}
	_, found, err := host.Listens(packet.ProtoTCP, server)
	f.note(err)
	return found
}

// note keeps the first error.
func (f *finder) note(err error) {
	if f.err == nil {
		f.err = err
	}
}
