package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// Tracked is what connection tracking knows of a connection, as a packet of it
// would be seen.
type Tracked struct {
	Connection packet.Connection
	// Known are the fields of Connection that the kernel told.
	Known packet.Know
	// Reply says that the packet asked for goes against the direction of the
	// connection's first one.
	Reply bool
	// Opening says that it is of TCP, and that nothing has answered its SYN.
	Opening bool
	// Liberal says that it is of TCP, and that no packet is found out of its window:
	// it was taken up in its midst.
	Liberal bool
}

// Numbers of linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
const (
	conntrackSubsys = 1 // NFNL_SUBSYS_CTNETLINK
	cmdGetConntrack = 1 // IPCTNL_MSG_CT_GET

	ctTupleOrig     = 1
	ctTupleReply    = 2
	ctStatus        = 3
	ctProtoInfo     = 4
	ctHelp          = 5
	ctTimeout       = 7
	ctMark          = 8
	ctCountersOrig  = 9
	ctCountersReply = 10
	ctZone          = 18
	ctLabels        = 22
	ctFilter        = 25

	ctHelpName = 1

	ctTupleIP    = 1
	ctTupleProto = 2
	ctTupleZone  = 3

	ctIPv4Src = 1
	ctIPv4Dst = 2
	ctIPv6Src = 3
	ctIPv6Dst = 4

	ctProtoNum = 1
	ctSrcPort  = 2
	ctDstPort  = 3

	ctPackets = 1
	ctBytes   = 2

	ctProtoInfoTCP = 1
	ctTCPState     = 1
	ctTCPFlagsOrig = 4
	ctTCPSynSent   = 1    // TCP_CONNTRACK_SYN_SENT
	ctTCPBeLiberal = 0x08 // IP_CT_TCP_FLAG_BE_LIBERAL

	ctFilterReplyFlags = 2

	// CTA_FILTER_F_CTA_IP_SRC and _DST, CTA_FILTER_F_CTA_PROTO_NUM, _SRC_PORT and _DST_PORT.
	ctFilterTuple = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5
)

// Track looks up the connection of packets from src to dst, of either
// direction, in this network namespace and a zone of tracking: the default one is
// 0. found is false for one that is not tracked, and where the kernel has no
// connection tracking or does not tell of it. It needs CAP_NET_ADMIN.
func Track(proto uint8, src, dst netip.AddrPort, zone uint16) (t Tracked, found bool, err error) {
	asked, ok := tupleOf(proto, src, dst)
	if !ok {
		return t, false, nil
	}
	// The answer is marked as one of many; the acknowledgement ends it.
	r := conntrackRequest(unix.NLM_F_ACK, familyOfTuple(asked))
	r.AddData(tupleAttr(ctTupleOrig, asked))
	if zone != 0 {
		r.AddData(nl.NewRtAttr(ctZone, binary.BigEndian.AppendUint16(nil, zone)))
	}
	messages, err := r.Execute(unix.NETLINK_NETFILTER, 0)
	switch {
	case errors.Is(err, unix.ENOENT), noConntrack(err):
		return t, false, nil
	case err != nil:
		return t, false, fmt.Errorf("looking a connection up: %w", err)
	case len(messages) != 1:
		return t, false, errors.New("looking a connection up: the kernel gave no answer")
	}
	t, err = readTracked(messages[0], asked)
	return t, err == nil, err
}

// TrackAnswered looks up the connections, in all zones, of which packets from src
// to dst are replies. The kernel goes over its whole table for it, which takes
// milliseconds, and tells of these alone from Linux 5.8 on.
func TrackAnswered(proto uint8, src, dst netip.AddrPort) (list []Tracked, err error) {
	asked, ok := tupleOf(proto, src, dst)
	if !ok {
		return nil, nil
	}
	messages, err := whole(func() ([][]byte, error) {
		r := conntrackRequest(unix.NLM_F_DUMP, familyOfTuple(asked))
		r.AddData(tupleAttr(ctTupleReply, asked))
		filter := nl.NewRtAttr(ctFilter|unix.NLA_F_NESTED, nil)
		filter.AddRtAttr(ctFilterReplyFlags, nl.Uint32Attr(ctFilterTuple))
		r.AddData(filter)
		return r.Execute(unix.NETLINK_NETFILTER, 0)
	})
	switch {
	case noConntrack(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking a connection up in all zones: %w", err)
	}
	for _, m := range messages {
		t, err := readTracked(m, asked)
		if err != nil {
			return nil, err
		}
		if t.Connection.ReplyTuple == asked {
			list = append(list, t)
		}
	}
	return list, nil
}

// tupleOf is the addresses of a packet; ok is false if they are not of one family.
func tupleOf(proto uint8, src, dst netip.AddrPort) (t packet.Tuple, ok bool) {
	t = packet.Tuple{Src: plain(src).Addr(), Dst: plain(dst).Addr(), SrcPort: src.Port(), DstPort: dst.Port(), Proto: proto}
	return t, t.Src.Is4() == t.Dst.Is4()
}

func familyOfTuple(t packet.Tuple) uint8 {
	if t.Src.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// readTracked reads a message of IPCTNL_MSG_CT_NEW, as a packet with such
// addresses sees the connection.
func readTracked(m []byte, asked packet.Tuple) (t Tracked, err error) {
	t.Connection, t.Known, err = readConntrack(m)
	if err != nil {
		return t, err
	}
	err = t.readTCP(m[nl.SizeofNfgenmsg:])
	t.Reply = asked != t.Connection.Original && asked == t.Connection.ReplyTuple
	t.seenFrom(t.Reply)
	return t, err
}

// readTCP reads what tracking keeps of TCP alone: CTA_PROTOINFO_TCP, in which
// flags are a struct nf_ct_tcp_flags, the flags and a mask of a byte each.
func (t *Tracked) readTCP(attrs []byte) error {
	return innermost(attrs, ctProtoInfo, ctProtoInfoTCP, func(kind uint16, v []byte) {
		switch {
		case len(v) == 0:
		case kind == ctTCPState:
			t.Opening = v[0] == ctTCPSynSent
		case kind == ctTCPFlagsOrig:
			t.Liberal = v[0]&ctTCPBeLiberal != 0
		}
	})
}

// innermost gives the attributes that stand in one within another.
func innermost(attrs []byte, outer, inner uint16, each func(kind uint16, v []byte)) error {
	return eachAttr(attrs, func(kind uint16, v []byte) error {
		if kind != outer {
			return nil
		}
		return eachAttr(v, func(kind uint16, v []byte) error {
			if kind != inner {
				return nil
			}
			return eachAttr(v, func(kind uint16, v []byte) error {
				each(kind, v)
				return nil
			})
		})
	})
}

// TrackedTo lists the tracked connections whose first packet came to a local
// port, of both families. It reads the whole table.
func TrackedTo(proto uint8, port uint16) (list []Tracked, err error) {
	return trackedBy(func(c *packet.Connection) bool { return c.ReplyTuple.Proto == proto && c.ReplyTuple.SrcPort == port })
}

// trackedBy lists the tracked connections of both families that are wanted.
func trackedBy(wanted func(*packet.Connection) bool) (list []Tracked, err error) {
	messages, err := whole(func() ([][]byte, error) {
		return conntrackRequest(unix.NLM_F_DUMP, unix.AF_UNSPEC).Execute(unix.NETLINK_NETFILTER, 0)
	})
	switch {
	case noConntrack(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the tracked connections: %w", err)
	}
	for _, m := range messages {
		c, known, err := readConntrack(m)
		if err != nil {
			return nil, err
		}
		if wanted(&c) {
			t := Tracked{Connection: c, Known: known}
			t.seenFrom(false)
			list = append(list, t)
		}
	}
	return list, nil
}

// seenFrom gives the connection the state that its next packet has, from one of
// the sides.
func (t *Tracked) seenFrom(reply bool) {
	c := &t.Connection
	c.Reply = reply
	switch {
	case reply || c.Status&packet.StatusSeenReply != 0:
		c.State = packet.Established
	case c.Status&packet.StatusExpected != 0:
		c.State = packet.Related
	default:
		c.State = packet.New
	}
	t.Known |= packet.KnowState | packet.KnowDirection
}

// noConntrack reports whether an error says that this kernel has no nfnetlink,
// or nothing there that tells of connections.
func noConntrack(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT)
}

func conntrackRequest(flags int, family uint8) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(conntrackSubsys<<8|cmdGetConntrack, flags)
	r.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
	return r
}

// tupleAttr writes a nested CTA_TUPLE_*.
func tupleAttr(kind int, t packet.Tuple) *nl.RtAttr {
	src, dst := ctIPv6Src, ctIPv6Dst
	if t.Src.Is4() {
		src, dst = ctIPv4Src, ctIPv4Dst
	}
	a := nl.NewRtAttr(kind|unix.NLA_F_NESTED, nil)
	ip := a.AddRtAttr(ctTupleIP|unix.NLA_F_NESTED, nil)
	ip.AddRtAttr(src, t.Src.AsSlice())
	ip.AddRtAttr(dst, t.Dst.AsSlice())
	proto := a.AddRtAttr(ctTupleProto|unix.NLA_F_NESTED, nil)
	proto.AddRtAttr(ctProtoNum, []byte{t.Proto})
	proto.AddRtAttr(ctSrcPort, binary.BigEndian.AppendUint16(nil, t.SrcPort))
	proto.AddRtAttr(ctDstPort, binary.BigEndian.AppendUint16(nil, t.DstPort))
	return a
}

// alwaysTold is what the kernel tells of every connection: it leaves out a mark or
// labels of zero, and a helper that there is not.
const alwaysTold = packet.KnowOriginal | packet.KnowReplyTuple | packet.KnowConnMark | packet.KnowConnLabels | packet.KnowConnHelper

// readConntrack reads a message of IPCTNL_MSG_CT_NEW.
func readConntrack(m []byte) (c packet.Connection, known packet.Know, err error) {
	if len(m) < nl.SizeofNfgenmsg {
		return c, 0, errors.New("the kernel's message about a connection is too short")
	}
	known = alwaysTold
	err = eachAttr(m[nl.SizeofNfgenmsg:], func(kind uint16, v []byte) error {
		switch kind {
		case ctTupleOrig:
			return readTuple(v, &c.Original, &c.Zones.Original)
		case ctTupleReply:
			return readTuple(v, &c.ReplyTuple, &c.Zones.Reply)
		case ctZone: // one for both directions
			c.Zones = packet.Zones{Original: big16(v), Reply: big16(v)}
		case ctStatus:
			c.Status, known = big32(v), known|packet.KnowStatus
		case ctTimeout:
			c.Expire, known = big32(v), known|packet.KnowExpire
		case ctMark:
			c.Mark = big32(v)
		case ctLabels:
			copy(c.Labels[:], v)
		case ctHelp:
			return eachAttr(v, func(kind uint16, v []byte) error {
				if kind == ctHelpName {
					c.Helper = strings.TrimRight(string(v), "\x00")
				}
				return nil
			})
		case ctCountersOrig, ctCountersReply:
			known |= packet.KnowConnCounter
			return readCounters(v, &c, int(kind-ctCountersOrig))
		}
		return nil
	})
	return c, known, err
}

func readCounters(v []byte, c *packet.Connection, direction int) error {
	return eachAttr(v, func(kind uint16, v []byte) error {
		switch {
		case len(v) < 8:
		case kind == ctPackets:
			c.Packets[direction] = binary.BigEndian.Uint64(v)
		case kind == ctBytes:
			c.Bytes[direction] = binary.BigEndian.Uint64(v)
		}
		return nil
	})
}

// readTuple reads addresses, protocol and ports of one direction, and its zone if
// the other direction has another.
func readTuple(v []byte, t *packet.Tuple, zone *uint16) error {
	return eachAttr(v, func(part uint16, v []byte) error {
		if part == ctTupleZone {
			*zone = big16(v)
			return nil
		}
		return eachAttr(v, func(kind uint16, v []byte) error {
			switch {
			case part == ctTupleIP && (kind == ctIPv4Src || kind == ctIPv6Src):
				t.Src, _ = netip.AddrFromSlice(v)
			case part == ctTupleIP && (kind == ctIPv4Dst || kind == ctIPv6Dst):
				t.Dst, _ = netip.AddrFromSlice(v)
			case part == ctTupleProto && kind == ctProtoNum && len(v) > 0:
				t.Proto = v[0]
			case part == ctTupleProto && kind == ctSrcPort && len(v) > 1:
				t.SrcPort = binary.BigEndian.Uint16(v)
			case part == ctTupleProto && kind == ctDstPort && len(v) > 1:
				t.DstPort = binary.BigEndian.Uint16(v)
			}
			return nil
		})
	})
}

// errAttr is the error of attributes that do not fit into their message.
var errAttr = errors.New("the kernel's message has an attribute that is too long for it")

// eachAttr gives attributes in order, flags cut off their types. An attribute is
// its length and its type, 2 bytes each in host order, and its value, padded to 4
// bytes: struct nlattr of linux/netlink.h. (netlink's own reader takes the last
// one to be padded, and fails where it is not.)
func eachAttr(b []byte, each func(kind uint16, v []byte) error) error {
	for len(b) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return errAttr
		}
		if err := each(binary.NativeEndian.Uint16(b[2:])&nl.NLA_TYPE_MASK, b[unix.SizeofNlAttr:size:size]); err != nil {
			return err
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}

// big16 reads 16 bits in network order; 0 if there are not as many.
func big16(v []byte) uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

// big32 reads 32 bits in network order; 0 if there are not as many.
func big32(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v)
}
