package question

import (
	"sort"

	"moat/internal/packet"
)

// word is a word that may follow the addresses.
type word struct {
	name, alias string
	value       string  // what follows it, for people; "" for nothing
	ranges      bool    // it may stand in a set of packets
	repeat      bool    // it may stand more than once
	transport   bool    // it speaks of the transport header
	protocols   []uint8 // nil: all
	help        string
	read        func(p *parser, w token) error
}

// words are all of them, in the order in which a question is printed.
var words = []word{
	{name: "in", value: "INTERFACE", ranges: true, read: (*parser).readIn, help: "it comes in by this interface"},
	{name: "out", value: "INTERFACE", ranges: true, read: (*parser).readOut, help: "it leaves by this interface"},
	{name: "hook", value: "INPUT|FORWARD|OUTPUT", ranges: true, read: (*parser).readHook, help: "it is for this host, goes through it, or is from it"},
	{name: "state", value: "NEW|ESTABLISHED|RELATED|INVALID|UNTRACKED", ranges: true, read: (*parser).readState, help: "state of its connection"},
	{
		name: "flags", value: "FLAG[,FLAG...]|NONE|ALL", ranges: true, transport: true, protocols: []uint8{packet.ProtoTCP},
		read: (*parser).readFlags, help: "exactly these TCP flags are on",
	},
	{
		name: "type", value: "NAME|NUMBER[/CODE]", ranges: true, transport: true, protocols: []uint8{packet.ProtoICMP, packet.ProtoICMPv6},
		read: (*parser).readType, help: "ICMP type, by the names of --icmp-type",
	},
	{
		name: "code", value: "NUMBER", ranges: true, transport: true, protocols: []uint8{packet.ProtoICMP, packet.ProtoICMPv6},
		read: (*parser).readCode, help: "ICMP code",
	},
	{
		name: "spi", value: "NUMBER", transport: true, protocols: []uint8{packet.ProtoESP, packet.ProtoAH},
		read: (*parser).readSPI, help: "security parameter index",
	},
	{
		name: "chunks", value: "TYPE[,TYPE...]", transport: true, protocols: []uint8{packet.ProtoSCTP},
		read: (*parser).readChunks, help: "SCTP chunks in the packet",
	},
	{
		name: "option", value: "NUMBER[,NUMBER...]|none", transport: true, protocols: []uint8{packet.ProtoTCP},
		read: (*parser).readOption, help: "the packet has these TCP options and no others",
	},
	{name: "mss", value: "NUMBER", transport: true, protocols: []uint8{packet.ProtoTCP}, read: (*parser).readMSS, help: "TCP option MSS"},
	{name: "mark", value: "NUMBER", ranges: true, read: (*parser).readMark, help: "firewall mark of the packet"},
	{name: "connmark", value: "NUMBER", ranges: true, read: (*parser).readConnMark, help: "mark of the connection"},
	{name: "ctstatus", value: "STATUS[,STATUS...]|NONE", read: (*parser).readStatus, help: "status of the connection, as --ctstatus has it"},
	{name: "ctdir", value: "ORIGINAL|REPLY", read: (*parser).readDirection, help: "direction within the connection"},
	{name: "original", value: "SOURCE -> DESTINATION", read: (*parser).readOriginal, help: "first direction of the connection, before any translation"},
	{name: "reply", value: "SOURCE -> DESTINATION", read: (*parser).readReply, help: "reply direction of the connection"},
	{name: "helper", value: "NAME|none", read: (*parser).readHelper, help: "helper of the connection"},
	{name: "expire", value: "SECONDS", read: (*parser).readExpire, help: "time that the connection has left"},
	{name: "ttl", alias: "hl", value: "NUMBER", ranges: true, read: (*parser).readTTL, help: "time to live, or hop limit"},
	{name: "tos", value: "NUMBER|NAME", ranges: true, read: (*parser).readTOS, help: "type of service, or traffic class, all eight bits"},
	{name: "dscp", value: "NUMBER|CLASS", ranges: true, read: (*parser).readDSCP, help: "upper six bits of tos, the others 0"},
	{name: "len", alias: "length", value: "BYTES", ranges: true, read: (*parser).readLength, help: "length with the network header"},
	{name: "frag", ranges: true, read: (*parser).readFrag, help: "a second or further fragment"},
	{name: "headers", value: "HEADER[,HEADER...]|none", read: (*parser).readHeaders, help: "IPv6 extension headers, in order"},
	{name: "pkttype", value: "unicast|broadcast|multicast|other", ranges: true, read: (*parser).readPktType, help: "receiver of the frame"},
	{name: "mac", value: "ADDRESS", read: (*parser).readMAC, help: "Ethernet source address"},
	{name: "physin", value: "PORT|none", read: (*parser).readPhysIn, help: "bridge port it came in by"},
	{name: "physout", value: "PORT|none", read: (*parser).readPhysOut, help: "bridge port it leaves by"},
	{name: "uid", value: "USER", read: (*parser).readUID, help: "user of the socket that sent it"},
	{name: "gid", value: "GROUP", read: (*parser).readGID, help: "group of the socket that sent it"},
	{name: "cgroup", value: "PATH", read: (*parser).readCgroup, help: "control group of the socket"},
	{name: "realm", value: "NUMBER|NAME", read: (*parser).readRealm, help: "routing realm"},
	{name: "cpu", value: "NUMBER", read: (*parser).readCPU, help: "processor that handles it"},
	{name: "payload", value: `"TEXT"|0xHEX`, transport: true, read: (*parser).readPayload, help: "what follows the transport header"},
	{name: "with", value: "MATCH=yes|no[,...]", ranges: true, repeat: true, read: (*parser).readWith, help: "what a match says that no packet decides"},
}

// Words are the words that may follow the addresses, each with what follows it
// and one line of help.
func Words() (rows [][3]string) {
	for i := range words {
		rows = append(rows, [3]string{words[i].name, words[i].value, words[i].help})
	}
	return rows
}

func findWord(name string) *word {
	for i := range words {
		if w := &words[i]; w.name == name || w.alias != "" && w.alias == name {
			return w
		}
	}
	return nil
}

func wordNames() (names []string) {
	for i := range words {
		names = append(names, words[i].name)
	}
	sort.Strings(names)
	return names
}
