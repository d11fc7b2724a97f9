package nft

// described says how the messages of one kind of object are told in errors:
// which attributes name the object and what holds it; 0 where there is none.
type described struct {
	object              string
	table, holder, name uint16
	holderKind          string
}

// describedObjects is in the order of the message types, three of each kind:
// new, get, delete (enum nf_tables_msg_types).
var describedObjects = [...]described{
	{object: "table", name: NFTA_TABLE_NAME},
	{object: "chain", table: NFTA_CHAIN_TABLE, name: NFTA_CHAIN_NAME},
	{object: "rule", table: NFTA_RULE_TABLE, holder: NFTA_RULE_CHAIN, holderKind: "chain"},
	{object: "set", table: NFTA_SET_TABLE, name: NFTA_SET_NAME},
	{object: "elements", table: NFTA_SET_ELEM_LIST_TABLE, holder: NFTA_SET_ELEM_LIST_SET, holderKind: "set"},
}

var describedVerbs = [...]string{"add", "get", "delete"}

// describe says in words what an encoded message asks for:
// "add rule in chain INPUT of table ip filter".
func describe(msg []byte) string {
	f, _, err := nextFrame(msg)
	if err != nil {
		return "unknown message"
	}
	m, err := f.message()
	if err != nil {
		return "unknown message"
	}
	typ := m.Type
	switch typ {
	case NFT_MSG_GETGEN:
		return "get the generation"
	case NFT_MSG_GETRULE_RESET:
		typ = NFT_MSG_GETRULE
	case NFT_MSG_GETSETELEM_RESET:
		typ = NFT_MSG_GETSETELEM
	}
	if int(typ) >= len(describedObjects)*len(describedVerbs) {
		return "unknown message"
	}
	return describeObject(describedObjects[typ/3], describedVerbs[typ%3], m)
}

func describeObject(d described, verb string, m Message) string {
	var table, holder, name string
	for a := NewAttrs(m.Attrs); a.Next(); {
		switch typ := a.Type(); {
		case typ == d.table && d.table != 0:
			table = a.String()
		case typ == d.holder && d.holder != 0:
			holder = a.String()
		case typ == d.name && d.name != 0:
			name = a.String()
		}
	}
	s := verb + " " + d.object
	if d.object == "table" {
		return s + " " + FamilyName(m.Family) + " " + name
	}
	if name != "" {
		s += " " + name
	}
	if holder != "" {
		s += " in " + d.holderKind + " " + holder
	}
	if table != "" {
		s += " of table " + FamilyName(m.Family) + " " + table
	}
	return s
}

// FamilyName is the name of an NFPROTO_* family as nft(8) writes it.
func FamilyName(family uint8) string {
	switch family {
	case NFPROTO_INET:
		return "inet"
	case NFPROTO_IPV4:
		return "ip"
	case NFPROTO_ARP:
		return "arp"
	case NFPROTO_NETDEV:
		return "netdev"
	case NFPROTO_BRIDGE:
		return "bridge"
	case NFPROTO_IPV6:
		return "ip6"
	}
	return "unspec"
}

// attrPath gives the types of the attributes that lead to the one at offset
// bytes from the message's first; nil when there is none.
func attrPath(msg []byte, offset int) []uint16 {
	at := headerLen + genHeaderLen
	if offset < at || len(msg) < at {
		return nil
	}
	var path []uint16
	for a := NewAttrs(msg[at:]); ; {
		start := len(msg) - len(a.rest)
		if !a.Next() || start > offset {
			return path
		}
		end := start + attrHeaderLen + len(a.data)
		if offset >= end {
			continue
		}
		path = append(path, a.typ)
		if offset == start {
			return path
		}
		msg, a = msg[:end], NewAttrs(msg[start+attrHeaderLen:end])
	}
}
