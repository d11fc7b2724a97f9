package question

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// printer collects the words of a question.
type printer struct{ words []string }

func (o *printer) add(words ...string) { o.words = append(o.words, words...) }

// name adds a word and a name behind it, in quotation marks if it needs them.
func (o *printer) name(word, name string) { o.add(word, quote(name)) }

// number adds a word and a number behind it if that is known.
func (o *printer) number(known bool, word string, n uint32) {
	if known {
		o.add(word, strconv.FormatUint(uint64(n), 10))
	}
}

// mark adds a word and a number in hexadecimal if it is known and not 0.
func (o *printer) mark(known bool, word string, n uint32) {
	if known {
		o.add(word, "0x"+strconv.FormatUint(uint64(n), 16))
	}
}

// quote puts a word that would not be read back as one in quotation marks.
func quote(s string) string {
	words, err := split(s)
	if err == nil && len(words) == 1 && words[0].text == s && !words[0].quoted {
		return s
	}
	return strconv.Quote(s)
}

// String is the question as Parse reads it, with state and flags told even if
// they are the defaults.
func (q *Question) String() string {
	o := &printer{}
	o.add(Headline(&q.Packet))
	q.printWay(o)
	o.add("state", q.Packet.Connection.State.String())
	q.printTransport(o)
	q.printConnection(o)
	q.printHeader(o)
	q.printHost(o)
	if q.Payload != nil {
		o.add("payload", payloadText(q.Payload))
	}
	if len(q.Fixed) > 0 {
		var parts []string
		for _, name := range q.fixedNames() {
			parts = append(parts, name+"="+q.Fixed[name].String())
		}
		o.add("with", strings.Join(parts, ","))
	}
	return strings.Join(o.words, " ")
}

// Headline is a packet's protocol, addresses and ports:
// "tcp 203.0.113.7:50000 -> 198.51.100.2:22".
func Headline(p *packet.Packet) string {
	return protocolName(p.Proto, p.Family) + " " + endpoint(p.Src, p.Transport.Src, p.Has(packet.KnowSrcPort)) + " " + Arrow + " " +
		endpoint(p.Dst, p.Transport.Dst, p.Has(packet.KnowDstPort))
}

// endpoint is an address, with its port if that is known.
func endpoint(a netip.Addr, port uint16, known bool) string {
	switch {
	case !a.IsValid() && !known:
		return "any"
	case !a.IsValid():
		return "any:" + strconv.Itoa(int(port))
	case known:
		return netip.AddrPortFrom(a, port).String()
	}
	return a.String()
}

// protocolName is the name of a protocol without a look into /etc/protocols.
// The ICMP of the other family has none; f may be 0 for either.
func protocolName(n uint8, f rule.Family) string {
	switch {
	case n == packet.ProtoICMP && f == rule.IPv6, n == packet.ProtoICMPv6 && f == rule.IPv4, n == 0:
		return strconv.Itoa(int(n))
	case n == packet.ProtoICMPv6:
		return "icmpv6"
	case n == packet.ProtoGRE:
		return "gre"
	}
	if name := netdb.BuiltinProtocolName(n); name != "" {
		return name
	}
	return strconv.Itoa(int(n))
}

func (q *Question) printWay(o *printer) {
	p := &q.Packet
	if q.Loops {
		return
	}
	if p.In != "" {
		o.name("in", p.In)
	}
	if p.Out != "" {
		o.name("out", p.Out)
	}
	said := simulate.In
	switch {
	case p.In != "" && p.Out != "":
		said = simulate.Through
	case p.Out != "":
		said = simulate.Out
	}
	if q.hinted && q.Way == simulate.Through && p.Out == "" { // it gets no further than to the routes
		return
	}
	if q.WayTold && (said != q.Way || p.In == "" && p.Out == "") {
		o.add("hook", q.Way.Hook().Chain())
	}
}

func (q *Question) printTransport(o *printer) {
	p := &q.Packet
	if p.Has(packet.KnowICMP) {
		o.add("type", icmpName(p.Proto == packet.ProtoICMPv6, p.Transport.Type, p.Transport.Code))
	}
	o.number(p.Has(packet.KnowSPI), "spi", p.Transport.SPI)
	if p.Transport.Chunks != nil {
		o.add("chunks", numbers(p.Transport.Chunks))
	}
	if p.Has(packet.KnowFlags) {
		o.add("flags", flagNames(p.Transport.Flags))
	}
	q.printOptions(o)
	if p.Fragment {
		o.add("frag")
	}
	if len(p.Extensions) > 0 {
		var list []uint8
		for _, x := range p.Extensions {
			list = append(list, x.Proto)
		}
		o.add("headers", headerNames(list))
	}
}

// printOptions prints MSS apart, and first, where Parse puts it.
func (q *Question) printOptions(o *printer) {
	p := &q.Packet
	if !p.Has(packet.KnowTCPOptions) {
		return
	}
	options := p.Transport.Options
	hasMSS := len(options) > 0 && options[0].Kind == optionMSS && len(options[0].Data) == 2
	if hasMSS {
		o.number(true, "mss", uint32(binary.BigEndian.Uint16(options[0].Data)))
		options = options[1:]
	}
	var kinds []uint8
	for _, x := range options {
		kinds = append(kinds, x.Kind)
	}
	switch {
	case kinds != nil:
		o.add("option", numbers(kinds))
	case !hasMSS && q.Payload == nil:
		o.add("option", "none")
	}
}

// icmpName is a type, with its code where there are several, by name if it has one.
func icmpName(v6 bool, typ, code uint8) string {
	m := ext.ICMP{V6: v6, Type: typ, CodeFrom: code, CodeTo: code}
	if name := m.TypeName(); name != "" {
		return name
	}
	if code == 0 && !hasCodes(v6, typ) {
		m.CodeFrom, m.CodeTo = 0, 255
		if name := m.TypeName(); name != "" && (v6 || typ != 255) {
			return name
		}
	}
	return strconv.Itoa(int(typ)) + "/" + strconv.Itoa(int(code))
}

func flagNames(bits uint8) string {
	var names []string
	for _, f := range tcpFlags {
		if uint32(bits)&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	if names == nil {
		return "NONE"
	}
	return strings.Join(names, ",")
}

func numbers(list []uint8) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(int(n)))
	}
	return strings.Join(words, ",")
}

func headerNames(list []uint8) string {
	var names []string
	for _, n := range list {
		for _, h := range headers {
			if h.number == n {
				names = append(names, h.name)
			}
		}
	}
	return strings.Join(names, ",")
}

func payloadText(b []byte) string {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c > '~' {
			return "0x" + hex.EncodeToString(b)
		}
	}
	return strconv.Quote(string(b))
}

func (q *Question) printConnection(o *printer) {
	p := &q.Packet
	c := &p.Connection
	fresh := c.State == packet.New
	o.mark(p.Has(packet.KnowConnMark) && !(fresh && c.Mark == 0), "connmark", c.Mark)
	if p.Has(packet.KnowStatus) && !(fresh && c.Status == 0) {
		o.add("ctstatus", statusNames(c.Status))
	}
	switch {
	case !p.Has(packet.KnowDirection):
	case c.Reply:
		o.add("ctdir", "REPLY")
	case !fresh:
		o.add("ctdir", "ORIGINAL")
	}
	for _, t := range [...]struct {
		word  string
		known packet.Know
		tuple *packet.Tuple
	}{{"original", packet.KnowOriginal, &c.Original}, {"reply", packet.KnowReplyTuple, &c.ReplyTuple}} {
		if p.Has(t.known) {
			ports := packet.HasPorts(t.tuple.Proto)
			o.add(t.word, endpoint(t.tuple.Src, t.tuple.SrcPort, ports), Arrow, endpoint(t.tuple.Dst, t.tuple.DstPort, ports))
		}
	}
	if p.Has(packet.KnowConnHelper) {
		name := c.Helper
		if name == "" {
			name = "none"
		}
		o.name("helper", name)
	}
	o.number(p.Has(packet.KnowExpire), "expire", c.Expire)
}

func statusNames(bits uint32) string {
	var names []string
	for _, s := range statuses {
		if bits&s.bit != 0 {
			names = append(names, s.name)
		}
	}
	if names == nil {
		return "NONE"
	}
	return strings.Join(names, ",")
}

func (q *Question) printHeader(o *printer) {
	p := &q.Packet
	o.mark(p.Mark != 0, "mark", p.Mark)
	o.number(p.Has(packet.KnowTTL), "ttl", uint32(p.TTL))
	o.mark(p.Has(packet.KnowTOS), "tos", uint32(p.TOS))
	o.number(p.Has(packet.KnowLength), "len", p.Length)
}

func (q *Question) printHost(o *printer) {
	p := &q.Packet
	if q.pktTypeTold() {
		o.add("pkttype", p.PacketType.String())
	}
	if p.Has(packet.KnowMAC) {
		var parts []string
		for _, b := range p.SrcMAC {
			parts = append(parts, hex.EncodeToString([]byte{b}))
		}
		o.add("mac", strings.Join(parts, ":"))
	}
	q.printBridge(o)
	if p.Has(packet.KnowOwner) {
		o.number(true, "uid", p.SocketUID)
		o.number(true, "gid", p.SocketGID)
	}
	if p.Has(packet.KnowCgroup) {
		o.name("cgroup", p.CgroupPath)
	}
	o.number(p.Has(packet.KnowRealm), "realm", p.RouteRealm)
	o.number(p.Has(packet.KnowCPU), "cpu", p.CPU)
}

func (q *Question) printBridge(o *printer) {
	p := &q.Packet
	if !p.Has(packet.KnowPhysical) {
		return
	}
	if p.PhysIn != "" {
		o.name("physin", p.PhysIn)
	}
	switch {
	case p.PhysOut != "":
		o.name("physout", p.PhysOut)
	case p.PhysIn == "":
		o.add("physin", "none")
	}
}
