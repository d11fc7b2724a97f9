package judge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
)

// tracker puts connections into the kernel by ctnetlink.
// UAPI: linux/netfilter/nfnetlink_conntrack.h.
type tracker struct {
	fd  int
	buf []byte
}

const (
	subsysCtnetlink = 1 // NFNL_SUBSYS_CTNETLINK
	ctNew           = 0 // IPCTNL_MSG_CT_NEW
	ctDelete        = 2 // IPCTNL_MSG_CT_DELETE

	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaStatus     = 3
	ctaProtoInfo  = 4
	ctaNatSrc     = 6
	ctaTimeout    = 7
	ctaMark       = 8
	ctaNatDst     = 13
	ctaLabels     = 22

	tcpEstablished = 3    // TCP_CONNTRACK_ESTABLISHED
	tcpBeLiberal   = 0x08 // IP_CT_TCP_FLAG_BE_LIBERAL: windows are not looked at
)

// connection is one to be put into the kernel.
type connection struct {
	orig, reply packet.Tuple // with ICMP: SrcPort is the identifier, DstPort type<<8|code of the request
	status      uint32
	mark        uint32
	timeout     uint32 // seconds
}

func newTracker() (*tracker, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	return &tracker{fd: fd, buf: make([]byte, 1<<16)}, err
}

func (k *tracker) close() error { return unix.Close(k.fd) }

// forget removes all connections.
func (k *tracker) forget() error {
	return k.ask(message(nil, ctDelete, unix.AF_UNSPEC, 1, func(*nft.Buffer) {}), 1)
}

// chunk is how many messages are sent at once.
const chunk = 40

// add puts connections in.
func (k *tracker) add(list []*connection) error {
	for len(list) > 0 {
		n := min(chunk, len(list))
		var req []byte
		for i, c := range list[:n] {
			family := unix.AF_INET
			if c.orig.Src.Is6() {
				family = unix.AF_INET6
			}
			req = message(req, ctNew, uint8(family), uint32(i+1), c.attrs)
		}
		if err := k.ask(req, n); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// message appends a request with an acknowledgement.
func message(b []byte, typ uint16, family uint8, seq uint32, attrs func(*nft.Buffer)) []byte {
	var a nft.Buffer
	attrs(&a)
	b = binary.NativeEndian.AppendUint32(b, uint32(20+a.Len()))
	b = binary.NativeEndian.AppendUint16(b, subsysCtnetlink<<8|typ)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, family, 0, 0, 0)
	return append(b, a.Bytes()...)
}

// ask sends requests and reads their acknowledgements.
func (k *tracker) ask(req []byte, acks int) error {
	if err := unix.Sendto(k.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var errs []error
	for acks > 0 {
		n, _, err := unix.Recvfrom(k.fd, k.buf, 0)
		if err != nil {
			return err
		}
		for p := k.buf[:n]; len(p) >= 20; acks-- {
			if no := int32(binary.NativeEndian.Uint32(p[16:])); no != 0 {
				errs = append(errs, fmt.Errorf("ctnetlink: message %d: %w", binary.NativeEndian.Uint32(p[8:]), unix.Errno(-no)))
			}
			p = p[min(len(p), int(binary.NativeEndian.Uint32(p)+3)&^3):]
		}
	}
	return errors.Join(errs...)
}

// attrs writes a connection.
func (c *connection) attrs(b *nft.Buffer) {
	writeTuple(b, ctaTupleOrig, c.orig)
	writeTuple(b, ctaTupleReply, inverse(c.orig))
	b.AttrBE32(ctaStatus, c.status|packet.StatusConfirmed)
	b.AttrBE32(ctaTimeout, c.timeout)
	b.AttrBE32(ctaMark, c.mark)
	if c.orig.Proto == packet.ProtoTCP {
		info := b.Begin(ctaProtoInfo)
		tcp := b.Begin(1) // CTA_PROTOINFO_TCP
		b.AttrU8(1, tcpEstablished)
		b.AttrBytes(4, []byte{tcpBeLiberal, tcpBeLiberal}) // flags and their mask, original
		b.AttrBytes(5, []byte{tcpBeLiberal, tcpBeLiberal}) // reply
		b.End(tcp)
		b.End(info)
	}
	writeNAT(b, ctaNatDst, c.orig.Proto, c.reply.Src, c.reply.SrcPort)
	writeNAT(b, ctaNatSrc, c.orig.Proto, c.reply.Dst, c.reply.DstPort)
}

// inverse is the other direction of a connection that is not translated.
func inverse(t packet.Tuple) packet.Tuple {
	r := packet.Tuple{Src: t.Dst, Dst: t.Src, SrcPort: t.DstPort, DstPort: t.SrcPort, Proto: t.Proto}
	switch t.Proto {
	case packet.ProtoICMP: // the identifier stays, a request has a reply
		r.SrcPort, r.DstPort = t.SrcPort, 0
	case packet.ProtoICMPv6:
		r.SrcPort, r.DstPort = t.SrcPort, 129<<8
	}
	return r
}

func writeTuple(b *nft.Buffer, attr uint16, t packet.Tuple) {
	tuple := b.Begin(attr)
	ip, at := uint16(1), b.Begin(1) // CTA_TUPLE_IP: CTA_IP_V4_SRC …
	if t.Src.Is6() {
		ip = 3
	}
	b.AttrBytes(ip, t.Src.AsSlice())
	b.AttrBytes(ip+1, t.Dst.AsSlice())
	b.End(at)
	at = b.Begin(2) // CTA_TUPLE_PROTO
	b.AttrU8(1, t.Proto)
	switch t.Proto {
	case packet.ProtoICMP, packet.ProtoICMPv6:
		first := uint16(4) // CTA_PROTO_ICMP_ID, _TYPE, _CODE
		if t.Proto == packet.ProtoICMPv6 {
			first = 7
		}
		b.AttrBE16(first, t.SrcPort)
		b.AttrU8(first+1, uint8(t.DstPort>>8))
		b.AttrU8(first+2, uint8(t.DstPort))
	default:
		b.AttrBE16(2, t.SrcPort)
		b.AttrBE16(3, t.DstPort)
	}
	b.End(at)
	b.End(tuple)
}

// writeNAT says what one side is translated to. The side is then settled, also
// if that is what it was.
func writeNAT(b *nft.Buffer, attr uint16, proto uint8, to netip.Addr, port uint16) {
	at := b.Begin(attr)
	first := uint16(1) // CTA_NAT_V4_MINIP, MAXIP
	if to.Is6() {
		first = 4
	}
	b.AttrBytes(first, to.AsSlice())
	b.AttrBytes(first+1, to.AsSlice())
	if proto == packet.ProtoTCP || proto == packet.ProtoUDP {
		ports := b.Begin(3) // CTA_NAT_PROTO
		b.AttrBE16(1, port)
		b.AttrBE16(2, port)
		b.End(ports)
	}
	b.End(at)
}
