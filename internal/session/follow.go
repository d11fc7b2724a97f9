package session

import (
	"net/netip"
	"slices"

	"moat/internal/host"
)

// follow takes the sessions of whoever made a connection from this host to itself:
// somebody who gave "ssh localhost" works by the connection that brought him to
// where he gave it. It reports whether that is known, also if it is a console or a
// daemon; if not, the way is lost.
func (f *finder) follow(e end) (isKnown bool) {
	if known, seen := f.followed[e.remote]; seen {
		return known
	}
	f.followed[e.remote] = true // on the way
	for _, p := range f.makers(e) {
		list, _ := f.held(p, false)
		switch {
		case isServer(p.comm): // a tunnel; its environment is that of who started the server
			f.search(p.pid)
		case len(list) == 1: // a proxy with one client
			f.look(p, false)
		case len(list) > 1: // it tells nobody for which of its clients
			continue
		default:
			f.find(p.pid, f.environ(p.pid))
		}
		isKnown = true
	}
	f.followed[e.remote] = isKnown
	f.lost = f.lost || !isKnown
	if isKnown {
		f.own = append(f.own, Session{Proto: e.proto, Client: e.remote, Server: e.local, Live: true, Own: true})
	}
	return isKnown
}

// makers gives the processes that hold the other end of a connection from this
// host to itself. Its address for the server may be one that was translated.
func (f *finder) makers(e end) (list []process) {
	all, err := host.Established(e.proto)
	f.note(err)
	client, server := withoutZone(e.remote), withoutZone(e.local)
	var ends []host.Socket
	for _, s := range all {
		if s.Local == client {
			ends = append(ends, s)
		}
	}
	if i := slices.IndexFunc(ends, func(s host.Socket) bool { return s.Remote == server }); i >= 0 {
		ends = ends[i : i+1] // the port is free for connections to other servers at the same time
	}
	for _, pid := range f.all() {
		holds := slices.ContainsFunc(f.links(pid), func(l link) bool {
			return slices.ContainsFunc(ends, func(s host.Socket) bool { return s.Inode == l.inode })
		})
		if p, ok := f.process(pid); holds && ok {
			list = append(list, p)
		}
	}
	return list
}

// withoutZone gives an address as sockets are listed.
func withoutZone(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}
