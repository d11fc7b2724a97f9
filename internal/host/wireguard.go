package host

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// WireGuard's kernel module and its programs are read here and not by wgctrl: that
// is a second library for netlink and curve25519 with all of crypto beneath, whose
// set-up each iptables command of a script would pay for, and it waits for ever for a
// program that is stopped.

// wireGuard is what is asked of a device.
type wireGuard struct {
	port  uint16 // on which it listens
	mark  uint32 // of what it sends
	peers []wireGuardPeer
}

type wireGuardPeer struct {
	key      string
	endpoint netip.AddrPort // not valid: not known yet
	keeps    bool           // this end sends to it every few seconds (persistent keepalive)
	allowed  []netip.Prefix
}

// errNoWireGuard says that a device is none.
var errNoWireGuard = errors.New("no WireGuard device")

// carrier finds the peer to which the device sends an address's packets: that of
// the longest prefix.
func (w *wireGuard) carrier(device string, inner netip.Addr) (c Carrier, found bool) {
	longest := -1
	for i := range w.peers {
		for _, n := range w.peers[i].allowed {
			if n.Contains(inner) && n.Bits() > longest {
				longest, c.Remote, c.Dials = n.Bits(), w.peers[i].endpoint, w.peers[i].keeps
			}
		}
	}
	c.Tunnel, c.Proto, c.Mark = "wireguard "+device, packet.ProtoUDP, w.mark
	c.Local = netip.AddrPortFrom(netip.Addr{}, w.port)
	return c, c.Remote.IsValid() && w.port != 0
}

// Numbers of linux/wireguard.h.
const (
	wgCmdGetDevice = 0 // WG_CMD_GET_DEVICE
	wgVersion      = 1 // WG_GENL_VERSION

	wgDeviceName = 2
	wgDevicePort = 6
	wgDeviceMark = 7
	wgPeers      = 8

	wgPeerKey      = 1
	wgPeerEndpoint = 4
	wgPeerKeeps    = 5 // WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, seconds
	wgPeerAllowed  = 9

	wgAllowedAddr = 2
	wgAllowedBits = 3
)

// kernelWireGuard asks the kernel module, by generic netlink. It needs CAP_NET_ADMIN.
func kernelWireGuard(device string, inner netip.Addr) (c Carrier, found bool, err error) {
	family, err := netlink.GenlFamilyGet("wireguard")
	if err != nil {
		return c, false, fmt.Errorf("asking for WireGuard: %w", err)
	}
	messages, err := whole(func() ([][]byte, error) {
		r := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
		r.AddData(&nl.Genlmsg{Command: wgCmdGetDevice, Version: wgVersion})
		r.AddData(nl.NewRtAttr(wgDeviceName, nl.ZeroTerminated(device)))
		return r.Execute(unix.NETLINK_GENERIC, 0)
	})
	if err != nil {
		return c, false, fmt.Errorf("asking WireGuard for %s: %w", device, err)
	}
	w, err := decodeWireGuard(messages)
	if err != nil {
		return c, false, err
	}
	c, found = w.carrier(device, inner)
	return c, found, nil
}

// decodeWireGuard reads messages of a struct genlmsghdr and WGDEVICE_A_*. Of a peer
// with many allowed IPs the rest comes in the next one, under the same key.
func decodeWireGuard(messages [][]byte) (w wireGuard, err error) {
	for _, m := range messages {
		if len(m) < unix.GENL_HDRLEN {
			return w, errAttr
		}
		err = eachAttr(m[unix.GENL_HDRLEN:], func(kind uint16, v []byte) error {
			switch {
			case kind == wgDevicePort && len(v) >= 2:
				w.port = binary.NativeEndian.Uint16(v)
			case kind == wgDeviceMark:
				w.mark = number(v)
			case kind == wgPeers:
				return eachAttr(v, func(_ uint16, peer []byte) error { return w.addPeer(peer) })
			}
			return nil
		})
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *wireGuard) addPeer(attrs []byte) error {
	var p wireGuardPeer
	err := eachAttr(attrs, func(kind uint16, v []byte) error {
		switch kind {
		case wgPeerKey:
			p.key = string(v)
		case wgPeerEndpoint:
			p.endpoint = socketAddress(v)
		case wgPeerKeeps:
			p.keeps = len(v) >= 2 && binary.NativeEndian.Uint16(v) != 0
		case wgPeerAllowed:
			return eachAttr(v, func(_ uint16, one []byte) error {
				n, err := allowedIP(one)
				p.allowed = append(p.allowed, n)
				return err
			})
		}
		return nil
	})
	if last := len(w.peers) - 1; last >= 0 && w.peers[last].key == p.key {
		w.peers[last].allowed = append(w.peers[last].allowed, p.allowed...)
		return err
	}
	w.peers = append(w.peers, p)
	return err
}

func allowedIP(attrs []byte) (n netip.Prefix, err error) {
	var a netip.Addr
	bits := -1
	err = eachAttr(attrs, func(kind uint16, v []byte) error {
		switch {
		case kind == wgAllowedAddr:
			a, _ = netip.AddrFromSlice(v)
		case kind == wgAllowedBits && len(v) > 0:
			bits = int(v[0])
		}
		return nil
	})
	return netip.PrefixFrom(a, bits), err
}

// socketAddress reads a struct sockaddr_in or sockaddr_in6: family in host order,
// port in network order, in IPv6 the flow, and the address.
func socketAddress(b []byte) netip.AddrPort {
	if len(b) < unix.SizeofSockaddrInet4 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case unix.AF_INET6:
		if len(b) < unix.SizeofSockaddrInet6 {
			break
		}
		a := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		if scope := number(b[24:]); scope != 0 && a.Is6() {
			a = a.WithZone(strconv.Itoa(int(scope)))
		}
		return netip.AddrPortFrom(a, port)
	}
	return netip.AddrPort{}
}

// Where programs that are WireGuard listen for questions, and how long one may take
// to answer: longer than ever needed.
const (
	wireGuardSockets = "/var/run/wireguard/"
	wireGuardWait    = 2 * time.Second
)

// userWireGuard asks a program, such as wireguard-go, by the protocol of
// https://www.wireguard.com/xplatform/.
func userWireGuard(device string, inner netip.Addr) (c Carrier, found bool, err error) {
	conn, err := net.DialTimeout("unix", wireGuardSockets+device+".sock", wireGuardWait)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return c, false, errNoWireGuard
	case err != nil:
		return c, false, fmt.Errorf("asking WireGuard for %s: %w", device, err)
	}
	defer conn.Close()
	if err = conn.SetDeadline(time.Now().Add(wireGuardWait)); err == nil {
		_, err = io.WriteString(conn, "get=1\n\n")
	}
	if err != nil {
		return c, false, fmt.Errorf("asking WireGuard for %s: %w", device, err)
	}
	w, err := readWireGuard(conn)
	if err != nil {
		return c, false, fmt.Errorf("asking WireGuard for %s: %w", device, err)
	}
	c, found = w.carrier(device, inner)
	return c, found, nil
}

// readWireGuard reads "key=value" lines up to an empty one; those after public_key are
// of that peer.
func readWireGuard(r io.Reader) (w wireGuard, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() && lines.Text() != "" {
		key, value, _ := strings.Cut(lines.Text(), "=")
		last := len(w.peers) - 1
		switch {
		case key == "listen_port":
			n, _ := strconv.ParseUint(value, 10, 16)
			w.port = uint16(n)
		case key == "fwmark":
			n, _ := strconv.ParseUint(value, 10, 32)
			w.mark = uint32(n)
		case key == "public_key":
			w.peers = append(w.peers, wireGuardPeer{key: value})
		case key == "errno" && value != "0":
			return w, errors.New("error " + value)
		case last < 0:
		case key == "endpoint":
			a, _ := netip.ParseAddrPort(value)
			w.peers[last].endpoint = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		case key == "persistent_keepalive_interval":
			w.peers[last].keeps = value != "0"
		case key == "allowed_ip":
			n, err := netip.ParsePrefix(value)
			if err != nil {
				return w, err
			}
			w.peers[last].allowed = append(w.peers[last].allowed, n)
		}
	}
	return w, lines.Err()
}
