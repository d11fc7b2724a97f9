package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// Socket is a TCP or UDP socket that has a peer.
type Socket struct {
	// Local and Remote as the socket has them, behind this host's own NAT; IPv4
	// of an IPv6 socket is IPv4, and link-local addresses stand without a zone.
	Local, Remote netip.AddrPort
	State         uint8  // SocketEstablished, or another TCP_* of linux/tcp.h
	Interface     uint32 // index of the interface that it is bound to; 0 for any
	UID           uint32 // of its owner
	// Inode is the number in /proc/PID/fd, 0 for a socket that no process has
	// open; Cookie is never given twice while the host is up.
	Inode  uint32
	Cookie uint64
}

// SocketEstablished is the State of a TCP connection that both sides have
// opened, and of a UDP socket that has a peer.
const SocketEstablished = 1

// FindSocket looks up the socket of one connection in this network namespace,
// without going over any others. A zone of a link-local address is the
// interface that it is bound to.
func FindSocket(proto uint8, local, remote netip.AddrPort) (s Socket, found bool, err error) {
	m, found, err := findSocket(proto, local, remote)
	if !found || err != nil {
		return s, false, err
	}
	s = readConnection(m)
	// The kernel's look-up is that of an arriving packet: without such a
	// connection it gives the socket that would take a new one.
	return s, s.Local == plain(local) && s.Remote == plain(remote), nil
}

// Listens looks up the socket that takes new connections (TCP) or packets (UDP)
// from anywhere to an address and port of this network namespace.
func Listens(proto uint8, local netip.AddrPort) (l Listener, found bool, err error) {
	m, found, err := findSocket(proto, local, netip.AddrPortFrom(unspecified(local.Addr()), 0))
	if !found || err != nil {
		return l, false, err
	}
	if l, found, err = readSocket(m, proto); err != nil {
		return l, false, err
	}
	state := m[1]
	return l, found && (state == tcpListen || state == tcpClose), nil
}

// Established lists the connected sockets of this network namespace, both
// families.
func Established(proto uint8) (list []Socket, err error) {
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		messages, err := dumpSockets(diagRequest{family: family, proto: proto, states: 1 << SocketEstablished})
		if err != nil {
			return nil, fmt.Errorf("reading the host's connections: %w", err)
		}
		for _, m := range messages {
			if len(m) >= sizeDiagMessage {
				list = append(list, readConnection(m))
			}
		}
	}
	return list, nil
}

// findSocket asks sock_diag(7) for one socket; found is false when there is
// none, or the kernel cannot tell of the protocol.
func findSocket(proto uint8, local, remote netip.AddrPort) (m []byte, found bool, err error) {
	index, err := zoneIndex(local, remote)
	if err != nil {
		return nil, false, nil // no such interface, so no such socket
	}
	q := exactRequest{proto: proto, index: index, local: plain(local), remote: plain(remote)}
	if q.local.Addr().Is4() != q.remote.Addr().Is4() {
		return nil, false, nil
	}
	r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	r.AddData(q)
	messages, err := r.Execute(unix.NETLINK_INET_DIAG, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("looking a socket up: %w", err)
	case len(messages) != 1 || len(messages[0]) < sizeDiagMessage:
		return nil, false, errors.New("looking a socket up: the kernel's message is too short")
	}
	return messages[0], true, nil
}

// exactRequest is struct inet_diag_req_v2 for one socket.
type exactRequest struct {
	proto         uint8
	index         uint32 // of the interface
	local, remote netip.AddrPort
}

func (q exactRequest) Len() int { return sizeDiagRequest }

// Serialize writes family, protocol and, from byte 8 on, struct
// inet_diag_sockid: ports and addresses of the local and the remote side, the
// interface, and a cookie, here none.
func (q exactRequest) Serialize() []byte {
	b := make([]byte, sizeDiagRequest)
	b[0], b[1] = unix.AF_INET, q.proto
	if q.local.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	first, second := q.local, q.remote
	if q.proto == packet.ProtoUDP { // the kernel reads them the other way round, "for historical reasons"
		first, second = second, first
	}
	binary.BigEndian.PutUint16(b[8:], first.Port())
	binary.BigEndian.PutUint16(b[10:], second.Port())
	copy(b[12:28], first.Addr().AsSlice())
	copy(b[28:44], second.Addr().AsSlice())
	binary.NativeEndian.PutUint32(b[44:], q.index)
	binary.NativeEndian.PutUint64(b[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE, twice
	return b
}

// readConnection reads a struct inet_diag_msg of at least its size.
func readConnection(m []byte) Socket {
	side := func(port, addr int) netip.AddrPort {
		size := 4
		if m[0] == unix.AF_INET6 {
			size = 16
		}
		a, _ := netip.AddrFromSlice(m[addr : addr+size])
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(m[port:]))
	}
	return Socket{
		Local: side(4, 8), Remote: side(6, 24), State: m[1],
		Interface: binary.NativeEndian.Uint32(m[40:]), Cookie: binary.NativeEndian.Uint64(m[44:]),
		UID: binary.NativeEndian.Uint32(m[64:]), Inode: binary.NativeEndian.Uint32(m[68:]),
	}
}

// plain is an address as sockets are compared: IPv4 in IPv6 is IPv4, and a
// zone is left out.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Unmap().Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// zoneIndex is the interface that a zone names, 0 without a zone.
func zoneIndex(sides ...netip.AddrPort) (uint32, error) {
	for _, a := range sides {
		zone := a.Addr().Zone()
		if zone == "" {
			continue
		}
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			return uint32(n), nil
		}
		dev, err := net.InterfaceByName(zone)
		if err != nil {
			return 0, err
		}
		return uint32(dev.Index), nil
	}
	return 0, nil
}
