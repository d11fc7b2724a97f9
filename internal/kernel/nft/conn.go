package nft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// dumpBuffer is the size of a receive buffer in bytes. The kernel fills at
// most 32 KiB of a dump at a time, and begins its walk anew for each.
const dumpBuffer = 32 << 10

// Conn is a netlink socket to nf_tables of the network namespace in which it
// was opened. It serves one request at a time and is not safe for concurrent use.
type Conn struct {
	fd      int
	seq     uint32 // of the last request; requests have the top bit set, messages of batches not
	req     Buffer // memory of requests
	recv    []byte // memory of answers, dumpBuffer bytes once needed
	sndbuf  int    // bytes that one send may have; 0 as long as the default was not changed
	rcvbuf  int    // bytes asked for the receive buffer; 0 as long as the default was not changed
	extAck  bool   // NETLINK_EXT_ACK and NETLINK_CAP_ACK are on
	partial bool   // a dump was left before its end and its rest is still to come
}

// Open opens a socket in the network namespace of the calling thread. The
// kernel binds it at the first send.
func Open() (*Conn, error) {
	fd, err := openSocket()
	if err != nil {
		return nil, err
	}
	return &Conn{fd: fd}, nil
}

func openSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, fmt.Errorf("open a netlink socket to netfilter: %w", err)
	}
	return fd, nil
}

// Close closes the socket.
func (c *Conn) Close() error {
	if c.fd < 0 {
		return nil
	}
	err := unix.Close(c.fd)
	c.fd = -1
	if err != nil {
		return fmt.Errorf("close the netlink socket: %w", err)
	}
	return nil
}

// begin starts a request of subsystem subsys in c.req; what of its flags is
// NLM_F_REQUEST comes by itself. finish completes it.
func (c *Conn) begin(subsys, msg uint8, flags uint16, family uint8) {
	c.seq = c.seq + 1 | 1<<31
	c.req.Reset()
	c.req.message(uint16(subsys)<<8|uint16(msg), flags, c.seq, family, 0)
}

// message appends the headers of a message whose length is patched later.
func (b *Buffer) message(typ, flags uint16, seq uint32, family uint8, resID uint16) {
	b.b = binary.NativeEndian.AppendUint32(b.b, 0)
	b.b = binary.NativeEndian.AppendUint16(b.b, typ)
	b.b = binary.NativeEndian.AppendUint16(b.b, flags|unix.NLM_F_REQUEST)
	b.b = binary.NativeEndian.AppendUint32(b.b, seq)
	b.b = binary.NativeEndian.AppendUint32(b.b, 0)
	b.b = append(b.b, family, NFNETLINK_V0)
	b.b = binary.BigEndian.AppendUint16(b.b, resID)
}

// send sends the request in c.req.
func (c *Conn) send() error {
	if err := c.settle(); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(c.req.b, uint32(len(c.req.b)))
	for {
		err := unix.Send(c.fd, c.req.b, 0)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return fmt.Errorf("send a request to nf_tables: %w", err)
		}
	}
}

// receive reads one datagram of the kernel into p. It never waits: netlink
// answers before the send returns, so an empty queue is ErrNoAnswer.
func (c *Conn) receive(p []byte) ([]byte, error) {
	for {
		n, from, err := unix.Recvfrom(c.fd, p, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return nil, ErrNoAnswer
		default:
			return nil, fmt.Errorf("receive from nf_tables: %w", err)
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
			continue // another process, not the kernel
		}
		if n > len(p) {
			return nil, fmt.Errorf("receive from nf_tables: answer of %d bytes is over %d", n, len(p))
		}
		return p[:n], nil
	}
}

// buffer is the Conn's receive buffer.
func (c *Conn) buffer() []byte {
	if c.recv == nil {
		c.recv = make([]byte, dumpBuffer)
	}
	return c.recv
}

// ask sends the request in c.req and gives want answers to each, in order; an
// error of the kernel or of each ends it. The request must not have asked for
// an acknowledgement.
func (c *Conn) ask(want int, each func(Message) error) error {
	return c.askFor("", want, each)
}

// askFor is ask for a request that errors call what; empty: as describe does.
func (c *Conn) askFor(what string, want int, each func(Message) error) error {
	if err := c.send(); err != nil {
		return err
	}
	for want > 0 {
		p, err := c.receive(c.buffer())
		if err != nil {
			return err
		}
		for len(p) > 0 {
			var f frame
			if f, p, err = nextFrame(p); err != nil {
				return err
			}
			if f.seq != c.seq {
				continue // the rest of an earlier request
			}
			if err = c.answer(f, what, each); err != nil {
				return err
			}
			want--
		}
	}
	return nil
}

// answer gives one answer to each, or the error that it is.
func (c *Conn) answer(f frame, what string, each func(Message) error) error {
	if f.typ == unix.NLMSG_ERROR {
		r, err := f.errorReply()
		if err != nil {
			return err
		}
		if r.errno == 0 {
			return ErrNoAnswer
		}
		if what == "" {
			what = describe(c.req.b)
		}
		e := newKernelError(what, r)
		e.Path = attrPath(c.req.b, r.offset)
		return e
	}
	m, err := f.message()
	if err != nil {
		return err
	}
	return each(m)
}

func newKernelError(what string, r errorReply) *KernelError {
	return &KernelError{What: what, Errno: r.errno, Message: r.text, Offset: r.offset, Missing: r.missing}
}

// settle ends a dump that was left early, so that the socket is free again:
// by a new socket if that is in the same network namespace, else by reading on.
func (c *Conn) settle() error {
	if !c.partial {
		return nil
	}
	if c.reopen() {
		c.partial = false
		return nil
	}
	for {
		_, err := c.receive(c.buffer())
		if errors.Is(err, ErrNoAnswer) {
			c.partial = false
			return nil
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
}

// reopen replaces the socket by a new one and says whether it could: it must
// be of the same network namespace (SO_NETNS_COOKIE, Linux 5.14).
func (c *Conn) reopen() bool {
	const cookie = unix.SO_NETNS_COOKIE
	old, err := unix.GetsockoptUint64(c.fd, unix.SOL_SOCKET, cookie)
	if err != nil {
		return false
	}
	fd, err := openSocket()
	if err != nil {
		return false
	}
	now, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, cookie)
	same := err == nil && now == old
	spare := fd
	if same {
		spare = c.fd
		c.fd, c.sndbuf, c.rcvbuf, c.extAck = fd, 0, 0, false
	}
	// close(2) frees a netlink socket whatever it says, and nothing is unwritten.
	_ = unix.Close(spare)
	return same
}
