package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// Listener is a socket that takes what comes from outside: a listening TCP
// socket, or a bound UDP one that is not connected.
type Listener struct {
	Proto uint8 // 6 or 17
	// Addr is the address it is bound to; unspecified for all of its family.
	Addr netip.Addr
	Port uint16
	// V6Only says that a socket of all IPv6 addresses does not take IPv4.
	V6Only    bool
	Interface uint32 // index of the interface that it is bound to; 0 for any
	UID       uint32
	// Program and PID are of one process that has it open; "" and 0 where
	// /proc does not tell (another user's, or another namespace's).
	Program string
	PID     int

	inode uint32
}

// IsLocal reports whether only this host can reach it.
func (l *Listener) IsLocal() bool { return l.Addr.Unmap().IsLoopback() }

// Takes reports whether packets to a port of an address reach it. An
// unspecified address stands for any that is not loopback.
func (l *Listener) Takes(proto uint8, to netip.Addr, port uint16) bool {
	own := l.Addr.Unmap()
	switch {
	case l.Proto != proto || l.Port != port:
		return false
	case own.IsUnspecified():
		return own.Is4() == to.Is4() || own.Is6() && to.Is4() && !l.V6Only
	case own.Is4() != to.Is4():
		return false
	}
	return own == to || to.IsUnspecified() && !own.IsLoopback()
}

// States of TCP in the state masks of linux/inet_diag.h: bit n is TCP_*. A UDP
// socket that is bound but not connected is in TCP_CLOSE.
const (
	tcpClose  = 7
	tcpListen = 10
)

// Listeners lists the listening sockets of this network namespace, both
// families, each with its program as far as this process may see it.
func Listeners() ([]Listener, error) {
	var all []Listener
	for _, c := range [...]struct {
		family, proto uint8
		state         uint32
	}{
		{unix.AF_INET, packet.ProtoTCP, 1 << tcpListen}, {unix.AF_INET6, packet.ProtoTCP, 1 << tcpListen},
		{unix.AF_INET, packet.ProtoUDP, 1 << tcpClose}, {unix.AF_INET6, packet.ProtoUDP, 1 << tcpClose},
	} {
		list, err := diag(c.family, c.proto, c.state)
		if err != nil {
			return nil, fmt.Errorf("reading the host's listening sockets: %w", err)
		}
		all = append(all, list...)
	}
	namePrograms(all)
	return all, nil
}

// sizeDiagRequest is the size of struct inet_diag_req_v2, sizeDiagMessage that
// of struct inet_diag_msg of linux/inet_diag.h.
const (
	sizeDiagRequest = 56
	sizeDiagMessage = 72
)

// diagRequest is struct inet_diag_req_v2 for all sockets of a kind.
type diagRequest struct {
	family, proto uint8
	states        uint32
}

func (d diagRequest) Len() int { return sizeDiagRequest }

func (d diagRequest) Serialize() []byte {
	b := make([]byte, sizeDiagRequest)
	b[0], b[1] = d.family, d.proto
	binary.NativeEndian.PutUint32(b[4:], d.states)
	return b
}

// diag lists sockets by NETLINK_SOCK_DIAG, see sock_diag(7).
func diag(family, proto uint8, states uint32) ([]Listener, error) {
	messages, err := dumpSockets(diagRequest{family, proto, states})
	if err != nil {
		return nil, err
	}
	var list []Listener
	for _, m := range messages {
		l, ok, err := readSocket(m, proto)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, l)
		}
	}
	return list, nil
}

func dumpSockets(d diagRequest) ([][]byte, error) {
	return whole(func() ([][]byte, error) {
		r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		r.AddData(d)
		return r.Execute(unix.NETLINK_INET_DIAG, 0)
	})
}

// readSocket reads struct inet_diag_msg and the attribute that says if the
// socket is for IPv6 only. ok is false for a socket without a port.
func readSocket(m []byte, proto uint8) (l Listener, ok bool, err error) {
	if len(m) < sizeDiagMessage {
		return l, false, errors.New("the kernel's message about a socket is too short")
	}
	size := 4
	if m[0] == unix.AF_INET6 {
		size = 16
	}
	l = Listener{
		Proto: proto, Port: binary.BigEndian.Uint16(m[4:]),
		Interface: binary.NativeEndian.Uint32(m[40:]),
		UID:       binary.NativeEndian.Uint32(m[64:]), inode: binary.NativeEndian.Uint32(m[68:]),
	}
	l.Addr, _ = netip.AddrFromSlice(m[8 : 8+size])
	err = eachAttr(m[sizeDiagMessage:], func(kind uint16, v []byte) error {
		if kind == netlink.INET_DIAG_SKV6ONLY && len(v) > 0 {
			l.V6Only = v[0] != 0
		}
		return nil
	})
	return l, l.Port != 0, err
}
