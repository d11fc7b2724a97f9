package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"moat/internal/host"
	"moat/internal/packet"
)

// end is this host's end of a connection, or of a UDP socket that has no peer.
type end struct {
	proto         uint8
	local, remote netip.AddrPort // remote is not valid without a peer
}

// sockets reads the sockets of other processes.
type sockets struct {
	// lend duplicates a process's descriptor into this one: pidfd_getfd(2).
	lend func(pidfd, fd, flags int) (int, error)
	// listed are the connections of this namespace by inode; nil until sockets
	// turned out not to be lent.
	listed map[uint32]end
	here   *namespace // of the calling thread; nil until it is asked for
	first  int        // port of the range for outgoing connections; 0 until it is asked for
}

// namespace names a network namespace by its file's device and inode.
type namespace struct{ dev, inode uint64 }

func newSockets() sockets { return sockets{lend: unix.PidfdGetfd} }

// maxHeld bounds what is taken of one process: a server of more clients at
// once has some that stand for all.
const maxHeld = 64

// held gives the connections from elsewhere in this namespace that a process
// holds, and if it serves a terminal those that it accepted from this host itself.
// Processes that this one may not look into, or that end meanwhile, hold none.
func (f *finder) held(p process, terminal bool) (list []Session, own []end) {
	links := f.socketsOf(p)
	if len(links) == 0 {
		return nil, nil
	}
	pidfd, err := unix.PidfdOpen(p.pid, 0)
	if err == nil {
		defer unix.Close(pidfd)
	}
	for _, l := range links {
		if len(list) >= maxHeld {
			break
		}
		e, ok := f.end(pidfd, l, err)
		switch {
		case !ok:
		case f.isFromElsewhere(e) && e.remote.IsValid():
			list = append(list, Session{Proto: e.proto, Client: e.remote, Server: e.local})
		case !e.remote.IsValid() && terminal:
			list = append(list, f.roaming(p, e)...)
		case e.remote.IsValid() && terminal && len(own) < maxHeld && f.isAccepted(e) && f.isOwn(e.remote.Addr()):
			own = append(own, e)
		}
	}
	return list, own
}

// link is a descriptor that is a socket.
type link struct {
	fd    int
	inode uint32
}

// isPassing reports whether a program serves nobody by itself: a connection that
// it holds is one that it was started with, as its input and output.
func isPassing(comm string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "zsh", "ksh", "fish", "sudo", "su", "login", "make", "xargs"}, comm)
}

// socketsOf lists the sockets among the descriptors of a process by which it may
// serve somebody.
func (f *finder) socketsOf(p process) (list []link) {
	if p.pid != f.caller && !isPassing(p.comm) {
		return f.links(p.pid)
	}
	for fd := range 3 {
		if l, isSocket, err := readLink(unix.AT_FDCWD, f.path(p.pid, "fd/"+strconv.Itoa(fd))); isSocket && err == nil {
			list = append(list, l)
		}
	}
	return list
}

// links lists all sockets among the descriptors of a process.
func (f *finder) links(pid int) (list []link) {
	dir, err := unix.Open(f.path(pid, "fd"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	for {
		n, err := unix.ReadDirent(dir, f.room())
		if err != nil || n <= 0 {
			return list
		}
		for name := range direntNames(f.buffer[:n]) {
			l, isSocket, err := readLink(dir, name)
			if err == unix.EACCES { // no process tells of one of its files only
				return nil
			}
			if isSocket {
				list = append(list, l)
			}
		}
	}
}

// direntNames gives the names in what getdents64(2) wrote, but for "." and "..".
func direntNames(b []byte) iter.Seq[string] {
	const lengthAt, nameAt = 16, 19
	return func(yield func(string) bool) {
		for len(b) > nameAt {
			size := int(binary.NativeEndian.Uint16(b[lengthAt:]))
			if size <= nameAt || size > len(b) {
				return
			}
			name, _, _ := bytes.Cut(b[nameAt:size], []byte{0})
			b = b[size:]
			if s := string(name); s != "." && s != ".." && !yield(s) {
				return
			}
		}
	}
}

// readLink reads one descriptor, which is a link to "socket:[INODE]".
func readLink(dir int, name string) (l link, isSocket bool, err error) {
	var buffer [64]byte // of longer links the beginning
	n, err := unix.Readlinkat(dir, name, buffer[:])
	if err != nil {
		return l, false, err
	}
	to, ok := bytes.CutPrefix(buffer[:n], []byte("socket:["))
	if !ok {
		return l, false, nil
	}
	inode, err := strconv.ParseUint(string(bytes.TrimSuffix(to, []byte("]"))), 10, 64)
	fd, ok := number(name[strings.LastIndexByte(name, '/')+1:])
	return link{fd, uint32(inode)}, ok && err == nil, err // sock_diag has 32 bits of it
}

// end looks at one socket of a process: at the socket itself, or where this
// process may not or the kernel cannot (before 5.6), at a list of all. failed
// is why there is no pidfd.
func (f *finder) end(pidfd int, l link, failed error) (end, bool) {
	fd, err := -1, failed
	if err == nil && f.sockets.listed == nil {
		fd, err = f.sockets.lend(pidfd, l.fd, 0)
	}
	switch {
	case f.sockets.listed != nil:
	case err == nil:
		defer unix.Close(fd)
		e, ok := endOf(fd)
		return e, ok && f.isHere(fd)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSYS):
		f.list()
	default: // the process or the descriptor is gone
		return end{}, false
	}
	e, ok := f.sockets.listed[l.inode]
	return e, ok
}

// list reads all connections of this namespace.
func (f *finder) list() {
	f.sockets.listed = map[uint32]end{}
	for _, proto := range [...]uint8{packet.ProtoTCP, packet.ProtoUDP} {
		all, err := host.Established(proto)
		f.note(err)
		for _, s := range all {
			f.sockets.listed[s.Inode] = end{proto, s.Local, s.Remote}
		}
	}
}

// endOf reads a socket; false for one that is not TCP or UDP over IP, or that
// has no peer and is not UDP.
func endOf(fd int) (e end, ok bool) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_INET && domain != unix.AF_INET6 {
		return e, false
	}
	proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	switch {
	case err != nil:
		return e, false
	case proto == unix.IPPROTO_TCP, proto == unix.IPPROTO_MPTCP: // on the wire that is TCP
		e.proto = packet.ProtoTCP
	case proto == unix.IPPROTO_UDP:
		e.proto = packet.ProtoUDP
	default:
		return e, false
	}
	if peer, err := unix.Getpeername(fd); err == nil {
		e.remote = addrPort(peer)
	} else if e.proto != packet.ProtoUDP {
		return e, false
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return e, false
	}
	e.local = addrPort(name)
	return e, e.local.Port() != 0
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(s.Addr).Unmap()
		if s.ZoneId != 0 {
			a = a.WithZone(zone(s.ZoneId))
		}
		return netip.AddrPortFrom(a, uint16(s.Port))
	}
	return netip.AddrPort{}
}

// zone is the name of an interface, which SSH_CONNECTION has, too.
func zone(index uint32) string {
	if dev, err := net.InterfaceByIndex(int(index)); err == nil {
		return dev.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}

// isHere reports whether a socket is in the network namespace of the calling
// thread. One that the kernel does not tell of is in a namespace in which this
// process may not change anything.
func (f *finder) isHere(fd int) bool {
	if f.sockets.here == nil {
		f.sockets.here = &namespace{}
		if own, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			defer unix.Close(own)
			*f.sockets.here, _ = namespaceOf(own)
		}
	}
	ns, ok := namespaceOf(fd)
	return ok && ns == *f.sockets.here
}

func namespaceOf(socket int) (namespace, bool) {
	fd, err := unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		return namespace{}, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return namespace{}, false
	}
	return namespace{st.Dev, st.Ino}, true
}

// isFromElsewhere reports whether another host began the connection. A UDP socket
// without a peer takes what comes.
func (f *finder) isFromElsewhere(e end) bool {
	if !e.remote.IsValid() {
		return true
	}
	return isElsewhere(e.remote.Addr()) && f.isAccepted(e) && !f.isOwn(e.remote.Addr())
}

// isAccepted reports whether this end did not begin the connection: it is at a
// port that somebody listens on, or that this host gives no outgoing ones.
func (f *finder) isAccepted(e end) bool {
	if int(e.local.Port()) < f.firstOutgoing() {
		return true
	}
	_, found, err := host.Listens(e.proto, e.local)
	f.note(err)
	return found
}

// firstOutgoing is where the range of ports for outgoing connections begins,
// see ip(7), ip_local_port_range.
func (f *finder) firstOutgoing() int {
	if f.sockets.first == 0 {
		f.sockets.first = 32768 // the kernel's default
		b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
		if fields := strings.Fields(string(b)); err == nil && len(fields) == 2 {
			if n, ok := number(fields[0]); ok {
				f.sockets.first = n
			}
		}
	}
	return f.sockets.first
}

// roaming gives the session of a UDP server that answers where the last packet
// came from, as mosh-server does: the peer that connection tracking saw last,
// or else the address from which the server was started.
func (f *finder) roaming(p process, e end) (one []Session) {
	tracked, err := host.TrackedTo(e.proto, e.local.Port())
	f.note(err)
	var latest packet.Connection
	for _, t := range tracked {
		answer := t.Connection.ReplyTuple
		client := netip.AddrPortFrom(answer.Dst, answer.DstPort)
		if a := e.local.Addr(); !a.IsUnspecified() && a.WithZone("") != answer.Src || !isElsewhere(client.Addr()) || !isLater(t.Connection, latest) {
			continue
		}
		latest = t.Connection
		one = []Session{{Proto: e.proto, Client: client, Server: netip.AddrPortFrom(answer.Src, answer.SrcPort)}}
	}
	ssh, ok := sshConnection(f.environ(p.pid))
	if len(one) > 0 || !ok || !isElsewhere(ssh.Client.Addr()) {
		return one
	}
	server := e.local.Addr()
	if server.IsUnspecified() {
		server = ssh.Server.Addr()
	}
	return []Session{{Proto: e.proto, Client: netip.AddrPortFrom(ssh.Client.Addr(), 0), Server: netip.AddrPortFrom(server, e.local.Port())}}
}

// isLater reports whether the last packet of a was seen after that of b: each
// packet starts the time again after which a connection is forgotten. One that
// was answered goes before one that was not.
func isLater(a, b packet.Connection) bool {
	const answered = packet.StatusSeenReply
	if a.Status&answered != b.Status&answered {
		return a.Status&answered != 0
	}
	return a.Expire >= b.Expire
}
