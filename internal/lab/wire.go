package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Send sends a packet that was built by hand, with any source address. It
// passes the host's OUTPUT and POSTROUTING hooks as all its packets do.
func (h *Host) Send(p Packet) error {
	b, err := p.Bytes()
	if err == nil {
		err = h.Do(func() error { return sendRaw(b, p.Dst.Addr()) })
	}
	if err != nil {
		return h.lab.failed(fmt.Errorf("%s: send %v: %w", h.Name, p, err))
	}
	return nil
}

// sendRaw sends bytes that begin with an IP header (IPPROTO_RAW: raw(7), and
// linux/net/ipv6 the same).
func sendRaw(b []byte, dst netip.Addr) error {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: dst.As16()})
	if dst.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Addr: dst.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	return errors.Join(unix.Sendto(fd, b, 0, to), unix.Close(fd))
}

// Watch sees the packets of a host from the moment it was made.
type Watch struct {
	host *Host
	fd   int
}

// Watch sees all packets of the host's interfaces as they are on the wire:
// before the rules for those that come in, after them for those that leave
// (AF_PACKET, packet(7)).
func (h *Host) Watch() (*Watch, error) {
	return h.watch(unix.AF_PACKET, unix.SOCK_DGRAM, int(htons(unix.ETH_P_ALL)))
}

// WatchDelivered sees the IPv4 packets of one protocol that the rules let
// through to the host itself (raw(7) sockets get them behind the INPUT hook).
func (h *Host) WatchDelivered(proto uint8) (*Watch, error) {
	return h.watch(unix.AF_INET, unix.SOCK_RAW, int(proto))
}

func (h *Host) watch(family, kind, proto int) (*Watch, error) {
	w := &Watch{host: h}
	err := h.Do(func() (err error) {
		w.fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
		return err
	})
	if err == nil {
		err = h.keep(w)
	}
	if err != nil {
		return nil, h.lab.failed(fmt.Errorf("watch packets of %s: %w", h.Name, err))
	}
	return w, nil
}

// Next gives the first packet for which match holds, or false after wait.
// Packets that it passes over are gone.
func (w *Watch) Next(wait time.Duration, match func(Packet) bool) (Packet, bool, error) {
	end := time.Now().Add(wait)
	buf := make([]byte, 65536)
	for {
		left := time.Until(end)
		if left <= 0 {
			return Packet{}, false, nil
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
		if err == nil && n > 0 {
			n, _, err = unix.Recvfrom(w.fd, buf, unix.MSG_DONTWAIT)
		} else {
			n = 0
		}
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return Packet{}, false, err
		}
		if n <= 0 {
			continue
		}
		// What is not IP (ARP) is not what a match asks for.
		if p, err := ParsePacket(buf[:n]); err == nil && match(p) {
			p.Payload = append([]byte(nil), p.Payload...)
			return p, true, nil
		}
	}
}

// Close ends the watch; it must not be in use.
func (w *Watch) Close() error {
	w.host.forget(w)
	return unix.Close(w.fd)
}

// htons gives a 16-bit number in network byte order.
func htons(v uint16) uint16 { return v<<8 | v>>8 }
