package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Lengths of the two headers of every nf_tables message, in bytes.
// UAPI: struct nlmsghdr (linux/netlink.h), struct nfgenmsg (linux/netfilter/nfnetlink.h).
//
//	nlmsghdr  len u32, type u16, flags u16, seq u32, port u32    host byte order
//	nfgenmsg  family u8, version u8, res_id u16                  res_id in network byte order
const (
	headerLen    = 16
	genHeaderLen = 4
)

// NLMSGERR_ATTR_MISS_TYPE and NLMSGERR_ATTR_MISS_NEST of linux/netlink.h
// (Linux 6.1), which x/sys/unix has not.
const (
	nlmsgerrAttrMissType = 5
	nlmsgerrAttrMissNest = 6
)

// Message is one nf_tables message as the kernel sent it. Attrs points into
// the receive buffer and holds only as long as that is said to hold.
type Message struct {
	Type       uint8  // NFT_MSG_* or NFNL_MSG_COMPAT_GET
	Family     uint8  // NFPROTO_*
	Generation uint16 // low 16 bits of the generation that the answer was made from
	Attrs      []byte
}

// frame is one netlink message within a receive buffer.
type frame struct {
	typ, flags uint16
	seq        uint32
	body       []byte // what follows struct nlmsghdr
}

// nextFrame cuts the first netlink message off p. It is ErrMalformed when p
// does not begin with a whole message.
func nextFrame(p []byte) (f frame, rest []byte, err error) {
	if len(p) < headerLen {
		return f, nil, ErrMalformed
	}
	n := uint64(binary.NativeEndian.Uint32(p))
	if n < headerLen || n > uint64(len(p)) {
		return f, nil, ErrMalformed
	}
	f.typ = binary.NativeEndian.Uint16(p[4:])
	f.flags = binary.NativeEndian.Uint16(p[6:])
	f.seq = binary.NativeEndian.Uint32(p[8:])
	f.body = p[headerLen:n]
	return f, p[min(align4(int(n)), len(p)):], nil
}

// message reads a frame of the netfilter subsystems as a Message.
func (f frame) message() (Message, error) {
	if f.typ < unix.NLMSG_MIN_TYPE || len(f.body) < genHeaderLen {
		return Message{}, ErrMalformed
	}
	return Message{
		Type:       uint8(f.typ),
		Family:     f.body[0],
		Generation: binary.BigEndian.Uint16(f.body[2:]),
		Attrs:      f.body[genHeaderLen:],
	}, nil
}

// errorReply is what an NLMSG_ERROR says: errno (0 for an acknowledgement) and
// the kernel's extended acknowledgement.
type errorReply struct {
	errno    unix.Errno
	text     string // NLMSGERR_ATTR_MSG, empty if not given
	offset   int    // NLMSGERR_ATTR_OFFS in bytes from the message's first; 0 if not given
	missing  int    // NLMSGERR_ATTR_MISS_TYPE, -1 if not given
	missNest int    // NLMSGERR_ATTR_MISS_NEST in bytes, 0 if the outermost
}

// errorReply reads the body of NLMSG_ERROR: errno i32, the header of the
// message that failed, its payload unless the flags say capped, then
// attributes if the flags say so. UAPI: linux/netlink.h, struct nlmsgerr.
func (f frame) errorReply() (r errorReply, err error) {
	r.missing = -1
	if len(f.body) < 4 {
		return r, ErrMalformed
	}
	r.errno = errnoOf(f.body)
	if f.flags&unix.NLM_F_ACK_TLVS == 0 {
		return r, nil
	}
	if len(f.body) < 4+headerLen {
		return r, ErrMalformed
	}
	at := uint64(4 + headerLen)
	if f.flags&unix.NLM_F_CAPPED == 0 {
		n := uint64(binary.NativeEndian.Uint32(f.body[4:]))
		at = 4 + max((n+3)&^3, headerLen)
	}
	if at > uint64(len(f.body)) {
		return r, ErrMalformed
	}
	a := NewAttrs(f.body[at:])
	for a.Next() {
		switch a.Type() {
		case unix.NLMSGERR_ATTR_MSG:
			r.text = a.String()
		case unix.NLMSGERR_ATTR_OFFS:
			r.offset = int(hostU32(a.Bytes()))
		case nlmsgerrAttrMissType:
			r.missing = int(hostU32(a.Bytes()))
		case nlmsgerrAttrMissNest:
			r.missNest = int(hostU32(a.Bytes()))
		}
	}
	return r, a.Err()
}

// errnoOf reads the negative errno, i32 in host byte order, that begins the
// body of NLMSG_ERROR and NLMSG_DONE. A shorter body is no error.
func errnoOf(body []byte) unix.Errno {
	if len(body) < 4 {
		return 0
	}
	if n := int32(binary.NativeEndian.Uint32(body)); n < 0 {
		return unix.Errno(-int64(n))
	}
	return 0
}

// hostU32 is a four-byte payload in host byte order, 0 if it is shorter.
func hostU32(p []byte) uint32 {
	if len(p) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(p)
}
