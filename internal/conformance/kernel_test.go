package conformance

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// Numbers of linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h that the snapshot needs. They are written here again, and
// messages are walked here again, so that a mistake in Moat's own codec cannot hide itself.
const (
	netlinkNetfilter = 12
	subsysNFTables   = 10 << 8
	batchBegin       = 0x10
	batchEnd         = 0x11
	getTable         = subsysNFTables | 1
	delTable         = subsysNFTables | 2
	getChain         = subsysNFTables | 4
	getRule          = subsysNFTables | 7
	getSet           = subsysNFTables | 10
	nestedFlag       = 1 << 15
	typeMask         = 0x3fff
)

// kind says how one sort of object is dumped: its request and what of it differs between two namespaces by nature.
type kind struct {
	name    string
	request uint16
	masked  []uint16 // attributes left out: handles and positions, which count up per table; use counts are kept
}

var kinds = []kind{
	{"table", getTable, []uint16{4}},    // NFTA_TABLE_HANDLE
	{"chain", getChain, []uint16{2}},    // NFTA_CHAIN_HANDLE
	{"rule", getRule, []uint16{3, 6}},   // NFTA_RULE_HANDLE, NFTA_RULE_POSITION
	{"set", getSet, []uint16{10, 0x10}}, // NFTA_SET_ID, NFTA_SET_HANDLE
}

// snapshot gives all of nf_tables in the calling thread's namespace, one object a line: attribute numbers with their bytes in hex or,
// where they are text, in quotes. Chains are sorted (their order is that of creation and of no meaning); rules keep their order.
func snapshot() ([]string, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkNetfilter)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var all []string
	for _, k := range kinds {
		objects, err := dump(fd, k)
		if err != nil {
			return nil, fmt.Errorf("dumping each %s: %w", k.name, err)
		}
		if k.name == "chain" {
			slices.Sort(objects)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// dump asks for every object of one kind in every family.
func dump(fd int, k kind) ([]string, error) {
	request := message(k.request, syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP, 0, nil)
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, err
	}
	var objects []string
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := syscall.Recvfrom(fd, buffer, 0)
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case syscall.NLMSG_DONE:
				return objects, nil
			case syscall.NLMSG_ERROR:
				return nil, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			}
			if len(m.Data) < 4 {
				return nil, errors.New("message without its nfgenmsg header")
			}
			objects = append(objects, fmt.Sprintf("%s family %d %s", k.name, m.Data[0], attributes(m.Data[4:], k.masked)))
		}
	}
}

// attributes prints a run of netlink attributes, leaving out those in masked at this level.
func attributes(b []byte, masked []uint16) string {
	var out []string
	for len(b) >= 4 {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < 4 || size > len(b) {
			return strings.Join(append(out, "cut short"), " ")
		}
		value := b[4:size]
		if number := kind & typeMask; !slices.Contains(masked, number) {
			out = append(out, fmt.Sprintf("%d:%s", number, attributeValue(kind, value)))
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return strings.Join(out, " ")
}

// attributeValue prints one attribute: what is nested in braces, text in quotes, the rest in hex. The kernel marks few of its nests, so
// whatever can be walked to its end as attributes is shown as such; that is for the reader alone, equal bytes print alike anyway.
func attributeValue(kind uint16, value []byte) string {
	if kind&nestedFlag != 0 || isNest(value) {
		return "{" + attributes(value, nil) + "}"
	}
	if text, ok := strings.CutSuffix(string(value), "\x00"); ok && len(text) > 1 && isPrintable(text) {
		return fmt.Sprintf("%q", text)
	}
	return hex.EncodeToString(value)
}

// isNest tells whether bytes are a run of attributes with small numbers and zero padding.
func isNest(b []byte) bool {
	if len(b) < 8 || len(b)%4 != 0 {
		return false
	}
	for len(b) >= 4 {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		padded := (size + 3) &^ 3
		if size < 5 || padded > len(b) || kind == 0 || kind > 32 || strings.Trim(string(b[size:padded]), "\x00") != "" {
			return false
		}
		b = b[padded:]
	}
	return len(b) == 0
}

func isPrintable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// message builds one nf_tables or batch message with an nfgenmsg header. resource is the header's res_id.
func message(kind, flags uint16, resource uint16, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b = append(b, body...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.BigEndian.PutUint16(b[18:], resource)
	return b
}

// flushKernel removes every table of the calling thread's namespace, as "nft flush ruleset" does, without starting a process.
func flushKernel() error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkNetfilter)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	batch := message(batchBegin, syscall.NLM_F_REQUEST, 10, nil)
	batch = append(batch, message(delTable, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, 0, nil)...)
	batch = append(batch, message(batchEnd, syscall.NLM_F_REQUEST, 10, nil)...)
	if err := syscall.Sendto(fd, batch, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, buffer, 0)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseNetlinkMessage(buffer[:n])
	if err != nil || len(messages) == 0 || len(messages[0].Data) < 4 {
		return fmt.Errorf("flushing the ruleset: no answer (%w)", err)
	}
	if code := int32(binary.NativeEndian.Uint32(messages[0].Data)); code != 0 {
		return fmt.Errorf("flushing the ruleset: %w", syscall.Errno(-code))
	}
	return nil
}
