package nft

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// appendDebugExpr appends the text form of an expression, its name alone if it
// is one that rules of iptables do not have.
func appendDebugExpr(out []byte, e *Expr) []byte {
	switch e.Name {
	case "meta":
		return appendDebugMeta(out, e)
	case "payload":
		base := debugName(debugBases[:], e.Attr(NFTA_PAYLOAD_BASE))
		return fmt.Appendf(out, "payload load %db @ %s header + %d => reg %d",
			e.Attr(NFTA_PAYLOAD_LEN), base, e.Attr(NFTA_PAYLOAD_OFFSET), e.Attr(NFTA_PAYLOAD_DREG))
	case "cmp":
		out = fmt.Appendf(out, "cmp %s reg %d", debugName(debugOps[:], e.Attr(NFTA_CMP_OP)), e.Attr(NFTA_CMP_SREG))
		return appendDebugData(out, e, NFTA_CMP_DATA)
	case "range":
		out = fmt.Appendf(out, "range %s reg %d", debugName(debugOps[:], e.Attr(NFTA_RANGE_OP)), e.Attr(NFTA_RANGE_SREG))
		return appendDebugData(appendDebugData(out, e, NFTA_RANGE_FROM_DATA), e, NFTA_RANGE_TO_DATA)
	case "bitwise":
		out = fmt.Appendf(out, "bitwise reg %d = ( reg %d &", e.Attr(NFTA_BITWISE_DREG), e.Attr(NFTA_BITWISE_SREG))
		return appendDebugData(append(appendDebugData(out, e, NFTA_BITWISE_MASK), " ) ^"...), e, NFTA_BITWISE_XOR)
	case "counter":
		packets, bytes := e.Counter()
		return appendField(appendField(out, "counter pkts ", packets), " bytes ", bytes)
	case "match", "target":
		name, rev, _ := xtInfo(e.Data)
		return fmt.Appendf(out, "%s name %s rev %d", e.Name, name, rev)
	case "immediate":
		return appendDebugImmediate(out, e)
	case "limit":
		return appendDebugLimit(out, e.Limit())
	case "log":
		return appendDebugLog(out, e.Log())
	}
	return append(out, e.Name...)
}

var (
	debugBases = [...]string{"link", "network", "transport", "inner"}
	debugOps   = [...]string{"eq", "neq", "lt", "lte", "gt", "gte"}
)

func appendDebugMeta(out []byte, e *Expr) []byte {
	key := debugName(debugKeys[:], e.Attr(NFTA_META_KEY))
	if reg, sets := e.FindAttr(NFTA_META_SREG); sets {
		return fmt.Appendf(out, "meta set %s with reg %d", key, reg)
	}
	return fmt.Appendf(out, "meta load %s => reg %d", key, e.Attr(NFTA_META_DREG))
}

// debugKeys are the names of NFT_META_*.
var debugKeys = [...]string{
	NFT_META_LEN: "len", NFT_META_PROTOCOL: "protocol", NFT_META_PRIORITY: "priority", NFT_META_MARK: "mark",
	NFT_META_IIF: "iif", NFT_META_OIF: "oif", NFT_META_IIFNAME: "iifname", NFT_META_OIFNAME: "oifname",
	NFT_META_IIFTYPE: "iiftype", NFT_META_OIFTYPE: "oiftype", NFT_META_SKUID: "skuid", NFT_META_SKGID: "skgid",
	NFT_META_NFTRACE: "nftrace", NFT_META_RTCLASSID: "rtclassid", NFT_META_SECMARK: "secmark",
	NFT_META_NFPROTO: "nfproto", NFT_META_L4PROTO: "l4proto", NFT_META_PKTTYPE: "pkttype", NFT_META_CPU: "cpu",
	NFT_META_IIFGROUP: "iifgroup", NFT_META_OIFGROUP: "oifgroup", NFT_META_CGROUP: "cgroup", NFT_META_PRANDOM: "prandom",
}

// appendDebugData appends a value as words of this machine's byte order, the
// last one filled up with zeros.
func appendDebugData(out []byte, e *Expr, typ uint16) []byte {
	for a := NewAttrs(e.Data); a.Next(); {
		if a.Type() != typ {
			continue
		}
		for value := dataValue(a); len(value) > 0; value = value[min(4, len(value)):] {
			var word [4]byte
			copy(word[:], value)
			out = fmt.Appendf(out, " 0x%08x", binary.NativeEndian.Uint32(word[:]))
		}
	}
	return out
}

func appendDebugImmediate(out []byte, e *Expr) []byte {
	out = fmt.Appendf(out, "immediate reg %d", e.Attr(NFTA_IMMEDIATE_DREG))
	for a := NewAttrs(e.Data); a.Next(); {
		if a.Type() != NFTA_IMMEDIATE_DATA {
			continue
		}
		code, chain, ok := verdict(a)
		if !ok {
			return appendDebugData(out, e, NFTA_IMMEDIATE_DATA)
		}
		out = append(out, " "+debugVerdict(code)...)
		if len(chain) > 0 {
			out = append(append(out, " -> "...), chain...)
		}
	}
	return out
}

func debugVerdict(code int32) string {
	switch code {
	case NF_DROP:
		return "drop"
	case NF_ACCEPT:
		return "accept"
	case NFT_JUMP:
		return "jump"
	case NFT_GOTO:
		return "goto"
	case NFT_RETURN:
		return "return"
	}
	return strconv.Itoa(int(code))
}

func appendDebugLimit(out []byte, l Limit) []byte {
	unit := strconv.FormatUint(l.Unit, 10)
	for _, u := range [...]struct {
		seconds uint64
		name    string
	}{{1, "second"}, {60, "minute"}, {3600, "hour"}, {86400, "day"}, {604800, "week"}} {
		if u.seconds == l.Unit {
			unit = u.name
		}
	}
	kind := "packets"
	if l.Type == NFT_LIMIT_PKT_BYTES {
		kind = "bytes"
	}
	return fmt.Appendf(out, "limit rate %d/%s burst %d type %s flags 0x%x", l.Rate, unit, l.Burst, kind, l.Flags)
}

func appendDebugLog(out []byte, l Log) []byte {
	out = append(out, "log"...)
	if l.Prefix != "" {
		out = append(out, " prefix "+l.Prefix...)
	}
	if l.HasGroup {
		return fmt.Appendf(out, " group %d snaplen %d qthreshold %d", l.Group, l.Snaplen, l.Qthreshold)
	}
	return fmt.Appendf(out, " tflags %d level %d", l.Flags, l.Level)
}
