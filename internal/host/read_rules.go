package host

import (
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/rule"
)

// readRules reads the rules of policy routing.
func readRules(family rule.Family) ([]Rule, error) {
	messages, err := dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family)}})
	if err != nil {
		return nil, err
	}
	var rules []Rule
	for _, m := range messages {
		r, ok, err := readRule(m, family)
		if err != nil {
			return nil, err
		}
		if ok {
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// readRule reads a struct fib_rule_hdr of linux/fib_rules.h and its attributes;
// ok is false for a rule of another family. The header has the layout of struct
// rtmsg: action stands where that has the type.
func readRule(m []byte, family rule.Family) (r Rule, ok bool, err error) {
	if len(m) < unix.SizeofRtMsg {
		return r, false, errShort
	}
	msg := nl.DeserializeRtMsg(m)
	if msg.Family != uint8(family) {
		return r, false, nil
	}
	r = Rule{Family: family, TOS: msg.Tos, Action: Action(msg.Type), Table: uint32(msg.Table), Not: msg.Flags&ruleInvert != 0}
	err = eachAttr(m[unix.SizeofRtMsg:], func(kind uint16, v []byte) error {
		r.read(kind, v, msg)
		return nil
	})
	return r, err == nil, err
}

// Of linux/fib_rules.h.
const (
	ruleInvert = 2  // FIB_RULE_INVERT
	fraPad     = 18 // FRA_PAD
)

// none is what the kernel says for an attribute that is not set.
const none = 1<<32 - 1

// read takes one attribute of a rule. One that is unknown is a condition of a
// newer kernel.
func (r *Rule) read(kind uint16, v []byte, msg *nl.RtMsg) {
	switch kind {
	case nl.FRA_DST:
		r.To = prefix(v, msg.Dst_len)
	case nl.FRA_SRC:
		r.From = prefix(v, msg.Src_len)
	case nl.FRA_IIFNAME:
		r.In = unix.ByteSliceToString(v)
	case nl.FRA_OIFNAME:
		r.Out = unix.ByteSliceToString(v)
	case nl.FRA_GOTO:
		r.Goto = number(v)
	case nl.FRA_PRIORITY:
		r.Priority = number(v)
	case nl.FRA_FWMARK:
		r.Mark = number(v)
		if r.Mask == 0 {
			r.Mask = none
		}
	case nl.FRA_FWMASK:
		r.Mask = number(v)
	case nl.FRA_TABLE:
		r.Table = number(v)
	case nl.FRA_SUPPRESS_PREFIXLEN:
		if n := number(v); n != none {
			r.Suppress = int(n) + 1
		}
	case nl.FRA_SUPPRESS_IFGROUP:
		r.Other = r.Other || number(v) != none
	case nl.FRA_IP_PROTO:
		if len(v) > 0 {
			r.Proto = v[0]
		}
	case nl.FRA_SPORT_RANGE:
		r.Sport = portRange(v)
	case nl.FRA_DPORT_RANGE:
		r.Dport = portRange(v)
	case nl.FRA_PROTOCOL, nl.FRA_FLOW, fraPad: // who made it, its realm, nothing
	default: // FRA_L3MDEV, FRA_UID_RANGE, FRA_TUN_ID and what came later
		r.Other = true
	}
}

func portRange(v []byte) PortRange {
	if len(v) < 4 {
		return PortRange{}
	}
	return PortRange{nl.NativeEndian().Uint16(v), nl.NativeEndian().Uint16(v[2:])}
}
