package nft

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// defaultSend is what every socket takes at once: net.core.wmem_default is
	// 212992 bytes unless an admin made it smaller.
	defaultSend = 128 << 10

	// defaultAcks is how many answers surely fit the default receive buffer.
	defaultAcks = 100

	// ackBytes is what one answer to a message takes of a receive buffer, with
	// the kernel's bookkeeping; an echoed object takes a page and more.
	ackBytes  = 1280
	echoBytes = 8 << 10

	// sendOverhead is what af_netlink keeps back of a send buffer.
	sendOverhead = 32

	// maxSocketBuffer is the largest value that SO_SNDBUF and SO_RCVBUF do
	// something with: the kernel doubles it into an int.
	maxSocketBuffer = 1<<30 - 1
)

// sendBufferFor is the value of SO_SNDBUF for a message of n bytes. The kernel
// doubles what it is given (socket(7)).
func sendBufferFor(n int) int { return min((n+sendOverhead+1)/2, maxSocketBuffer) }

// growSend makes the socket take n bytes in one send, or gives a
// *TooLargeError. SO_SNDBUFFORCE passes net.core.wmem_max but needs
// CAP_NET_ADMIN in the first user namespace; SO_SNDBUF is cut to it silently.
func (c *Conn) growSend(n int) error {
	if n <= c.sndbuf {
		return nil
	}
	value := sendBufferFor(n)
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, value) != nil {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, value); err != nil {
			return fmt.Errorf("set the netlink socket's send buffer: %w", err)
		}
	}
	got, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return fmt.Errorf("read the netlink socket's send buffer: %w", err)
	}
	if c.sndbuf = got - sendOverhead; c.sndbuf < n {
		return &TooLargeError{Need: n, Allowed: c.sndbuf}
	}
	return nil
}

// growReceive makes room for n bytes of answers as far as this process may.
// Less room loses answers, never the fact that something failed.
func (c *Conn) growReceive(n int) error {
	value := min(max(n/2, defaultSend), maxSocketBuffer)
	if value <= c.rcvbuf {
		return nil
	}
	c.rcvbuf = value
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, value) == nil {
		return nil
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, value); err != nil {
		return fmt.Errorf("set the netlink socket's receive buffer: %w", err)
	}
	return nil
}

// extendAcks asks for the kernel's own words in errors, and for errors without
// a copy of the message that failed (UAPI: linux/netlink.h, NETLINK_EXT_ACK
// and NETLINK_CAP_ACK).
func (c *Conn) extendAcks() error {
	if c.extAck {
		return nil
	}
	for _, option := range [...]int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, option, 1); err != nil {
			return fmt.Errorf("ask for extended acknowledgements: %w", err)
		}
	}
	c.extAck = true
	return nil
}
