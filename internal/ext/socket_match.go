package ext

// socket: iptables-extensions(8), "socket".
// UAPI: linux/netfilter/xt_socket.h, struct xt_socket_mtinfo1, 2 and 3 (one
// byte of flags each), revisions 1 to 3; revision 0 has no struct.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// SocketMatch matches packets for which this host has an open socket. Which
// sockets are open is not part of a packet.
type SocketMatch struct {
	Transparent   bool // only sockets with IP_TRANSPARENT
	NoWildcard    bool // also sockets that listen on every address
	RestoreSKMark bool // give the packet the socket's mark
}

// The flags: XT_SOCKET_* of the header.
const (
	xtSocketTransparent   = 1 << 0
	xtSocketNoWildcard    = 1 << 1
	xtSocketRestoreSKMark = 1 << 2
)

var socketMatch = Def{
	Name: "socket", Kind: Match, Families: Both,
	Summary: "an open socket of this host for the packet",
	Options: []Option{
		{Name: "transparent", Help: "ignore sockets that are not transparent"},
		{Name: "nowildcard", Help: "do not ignore sockets bound to any address"},
		{Name: "restore-skmark", Help: "set the packet's mark to that of the socket"},
	},
	Revisions: []Revision{{Rev: 0, Size: 0}, {Rev: 1, Size: 1}, {Rev: 2, Size: 1}, {Rev: 3, Size: 1}},
	New:       func(rule.Family) Ext { return &SocketMatch{} },
}

func init() { register(&socketMatch) }

func (m *SocketMatch) Name() string { return "socket" }
func (m *SocketMatch) Def() *Def    { return &socketMatch }

func (m *SocketMatch) Set(a *Arg) error {
	switch a.Option.Name {
	case "transparent":
		m.Transparent = true
	case "nowildcard":
		m.NoWildcard = true
	case "restore-skmark":
		m.RestoreSKMark = true
	}
	return nil
}

func (m *SocketMatch) Save(p *Printer) {
	if m.Transparent {
		p.Option(false, "transparent")
	}
	if m.NoWildcard {
		p.Option(false, "nowildcard")
	}
	if m.RestoreSKMark {
		p.Option(false, "restore-skmark")
	}
}

func (m *SocketMatch) List(p *Printer) {
	p.Str(" socket")
	m.Save(p)
}

// socketFlags are the flags that a revision knows.
func socketFlags(rev uint8) uint8 { return 1<<min(rev, 3) - 1 }

// Info writes the flags, of which each revision knows one more.
func (m *SocketMatch) Info(w nft.Info, rev uint8, _ rule.Family) {
	if rev == 0 {
		return
	}
	w.U8(socketFlags(rev) & (flag[uint8](m.Transparent, xtSocketTransparent) | flag[uint8](m.NoWildcard, xtSocketNoWildcard) |
		flag[uint8](m.RestoreSKMark, xtSocketRestoreSKMark)))
}

// Read reads the flags.
func (m *SocketMatch) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	if rev == 0 {
		return nil
	}
	flags := r.U8()
	m.Transparent, m.NoWildcard = flags&xtSocketTransparent != 0, flags&xtSocketNoWildcard != 0
	m.RestoreSKMark = flags&xtSocketRestoreSKMark != 0
	if flags&^socketFlags(rev) != 0 {
		return nft.ErrMalformed
	}
	return nil
}
