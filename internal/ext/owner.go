package ext

// owner: iptables-extensions(8), "owner".
// UAPI: linux/netfilter/xt_owner.h, struct xt_owner_match_info, revision 1.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Owner matches the local socket that sends the packet and who opened it.
type Owner struct {
	Given, Not   uint8 // xtOwner… bits
	UID, GID     IDRange
	Supplemental bool // GID may also be one of the process's further groups
}

// IDRange is a run of user or group numbers, both ends included.
type IDRange struct{ From, To uint32 }

// has reports whether the run holds a number.
func (r IDRange) has(n uint32) bool { return n >= r.From && n <= r.To }

// The conditions: XT_OWNER_* of the header.
const (
	xtOwnerUID    = 1 << 0
	xtOwnerGID    = 1 << 1
	xtOwnerSocket = 1 << 2
	xtOwnerSuppl  = 1 << 3
)

var owner = Def{
	Name: "owner", Kind: Match, Families: Both,
	Summary: "user, group and socket that a local packet comes from",
	Options: []Option{
		{Name: "uid-owner", Value: "USER[-USER]", Not: true, Help: "the socket belongs to the user: a name, a number or a range of numbers"},
		{Name: "gid-owner", Value: "GROUP[-GROUP]", Not: true, Help: "the socket belongs to the group: a name, a number or a range of numbers"},
		{Name: "socket-exists", Not: true, Help: "the packet belongs to a socket"},
		{Name: "suppl-groups", Help: "also look for --gid-owner among the process's supplementary groups"},
	},
	AnyOf:     []string{"uid-owner", "gid-owner", "socket-exists"},
	Revisions: []Revision{{Rev: 1, Size: 20}},
	New:       func(rule.Family) Ext { return &Owner{} },
}

func init() { register(&owner) }

func (m *Owner) Name() string { return "owner" }
func (m *Owner) Def() *Def    { return &owner }

func (m *Owner) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "uid-owner":
		m.UID, err = a.idRange(a.Names.User)
		m.add(xtOwnerUID, a.Not)
	case "gid-owner":
		m.GID, err = a.idRange(a.Names.UserGroup)
		m.add(xtOwnerGID, a.Not)
	case "socket-exists":
		m.add(xtOwnerSocket, a.Not)
	case "suppl-groups":
		if m.Given&xtOwnerGID == 0 {
			return a.Errorf("must stand behind --gid-owner")
		}
		m.Supplemental = true
	}
	return err
}

func (m *Owner) add(bit uint8, not bool) {
	m.Given |= bit
	if not {
		m.Not |= bit
	}
}

// idRange reads a name, a number, or two numbers with - or : between them. The
// largest number means nobody to the kernel and is refused; a range may be reversed.
func (a *Arg) idRange(byName func(string) (uint32, bool)) (r IDRange, err error) {
	if id, ok := byName(a.Value); ok {
		return IDRange{id, id}, nil
	}
	const most = 1<<32 - 2
	from, rest, ok := leadingUint(a.Value, most)
	r = IDRange{uint32(from), uint32(from)}
	if ok && rest != "" && (rest[0] == '-' || rest[0] == ':') {
		to, tail, has := leadingUint(rest[1:], most)
		r.To, rest, ok = uint32(to), tail, has
	}
	if !ok || rest != "" {
		return r, a.Errorf("takes a name, a number from 0 to %d or a range of them, not %q", most, a.Value)
	}
	return r, nil
}

func (m *Owner) Save(p *Printer) {
	if m.Given&xtOwnerSocket != 0 {
		p.Option(m.Not&xtOwnerSocket != 0, "socket-exists")
	}
	if m.Given&xtOwnerUID != 0 {
		p.Option(m.Not&xtOwnerUID != 0, "uid-owner")
		p.idRange(m.UID)
	}
	if m.Given&xtOwnerGID != 0 {
		p.Option(m.Not&xtOwnerGID != 0, "gid-owner")
		p.idRange(m.GID)
	}
	if m.Supplemental {
		p.Option(false, "suppl-groups")
	}
}

// idRange prints " N" or " N-M".
func (p *Printer) idRange(r IDRange) {
	p.Byte(' ')
	p.Uint(uint64(r.From))
	if r.To != r.From {
		p.Byte('-')
		p.Uint(uint64(r.To))
	}
}

func (m *Owner) List(p *Printer) {
	if m.Given&xtOwnerSocket != 0 {
		p.notBefore(m.Not&xtOwnerSocket != 0)
		p.Str(" owner socket exists")
	}
	if m.Given&xtOwnerUID != 0 {
		p.notBefore(m.Not&xtOwnerUID != 0)
		p.Str(" owner UID match")
		p.idNamed(m.UID, func(id uint32) string { return p.Names.UserName(id) })
	}
	if m.Given&xtOwnerGID != 0 {
		p.notBefore(m.Not&xtOwnerGID != 0)
		p.Str(" owner GID match")
		p.idNamed(m.GID, func(id uint32) string { return p.Names.UserGroupName(id) })
	}
	if m.Supplemental {
		p.Str(" incl. suppl. groups")
	}
}

// notBefore prints " !" if not.
func (p *Printer) notBefore(not bool) {
	if not {
		p.Str(" !")
	}
}

// idNamed prints a single number by its name where names are wanted.
func (p *Printer) idNamed(r IDRange, name func(uint32) string) {
	if !p.Numeric && r.From == r.To {
		if s := name(r.From); s != "" {
			p.Byte(' ')
			p.Str(s)
			return
		}
	}
	p.idRange(r)
}

// Info writes struct xt_owner_match_info. An inverted group is inverted for the
// supplementary groups too.
func (m *Owner) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, r := range [...]IDRange{m.UID, m.GID} {
		w.Host32(r.From)
		w.Host32(r.To)
	}
	w.U8(m.Given | flag[uint8](m.Supplemental, xtOwnerSuppl))
	w.U8(m.Not)
}

// Read reads struct xt_owner_match_info.
func (m *Owner) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.UID, m.GID = IDRange{r.Host32(), r.Host32()}, IDRange{r.Host32(), r.Host32()}
	m.Given, m.Not = r.U8(), r.U8()
	m.Supplemental = m.Given&xtOwnerSuppl != 0
	m.Given &^= xtOwnerSuppl
	if m.Given&^(xtOwnerUID|xtOwnerGID|xtOwnerSocket) != 0 || m.Not&^m.Given != 0 || m.Supplemental && m.Given&xtOwnerGID == 0 {
		return nft.ErrMalformed
	}
	if m.Given&xtOwnerUID == 0 {
		m.UID = IDRange{}
	}
	if m.Given&xtOwnerGID == 0 {
		m.GID = IDRange{}
	}
	return nil
}

// Match decides for a packet whose socket's owner was told. Which further
// groups a process has is not part of a packet.
func (m *Owner) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowOwner) {
		return packet.Unknown
	}
	answer := packet.Yes
	if m.Given&xtOwnerSocket != 0 && m.Not&xtOwnerSocket != 0 {
		answer = packet.No
	}
	if m.Given&xtOwnerUID != 0 {
		answer = answer.And(packet.Of(m.UID.has(p.SocketUID)).Invert(m.Not&xtOwnerUID != 0))
	}
	if m.Given&xtOwnerGID != 0 {
		group := packet.Of(m.GID.has(p.SocketGID))
		if group == packet.No && m.Supplemental {
			group = packet.Unknown
		}
		answer = answer.And(group.Invert(m.Not&xtOwnerGID != 0))
	}
	return answer
}
