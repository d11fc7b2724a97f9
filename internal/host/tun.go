package host

import (
	"iter"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// programCarrier finds what carries the packets of a program's own interface
// (OpenVPN's tun0): the one connection that the program has, or its one UDP socket and
// who sends to that. Which of several clients is behind an address only the program
// knows.
func programCarrier(device string) (c Carrier, found bool, err error) {
	// Other namespaces have interfaces of the same name, whose programs have no
	// socket here.
	for h := range holdersOfTun(device) {
		connected, err := connectionsOf(h.inodes)
		if err != nil {
			return c, false, err
		}
		open, err := openUDP(h.inodes)
		if err != nil {
			return c, false, err
		}
		if len(connected)+len(open) > 0 {
			return carrierBy(strings.TrimSpace(h.program+" "+device), connected, open)
		}
	}
	return c, false, nil
}

// carrierBy is which of a program's sockets of this namespace carries its tunnel.
func carrierBy(tunnel string, connected []Carrier, open []Listener) (c Carrier, found bool, err error) {
	list := connected
	dialled := len(open) == 1 && isEphemeral(open[0].Port)
	switch {
	case len(open) == 1 && len(connected) == 0:
		if list, err = clientsOf(open[0].Port); err != nil {
			return c, false, err
		}
		c = Carrier{Proto: packet.ProtoUDP, Local: netip.AddrPortFrom(open[0].Addr, open[0].Port)}
	case len(open) > 0:
		return c, false, nil // which of them is it?
	}
	for i := range list {
		switch {
		case i == 0:
			c = list[0]
		case list[i].Proto != c.Proto || list[i].Local != c.Local:
			return c, false, nil
		default: // several clients of one port
			c.Remote = netip.AddrPort{}
		}
	}
	c.AnyPort, c.Tunnel = !c.Dials, tunnel
	switch {
	case c.Remote.IsValid():
		return c, true, nil
	case dialled || c.Dials: // it goes to others, and nobody comes to it
		return c, false, nil
	}
	return c.forAnybody()
}

// forAnybody gives a carrier whose other end is not known this host's address: that by
// which it sends to most. false for a socket that may be of either family.
func (c Carrier) forAnybody() (Carrier, bool, error) {
	a := c.Local.Addr().Unmap()
	if c.Proto == 0 || a.Is6() && a.IsUnspecified() {
		return c, false, nil
	}
	if a.IsUnspecified() {
		way, found, err := WayToAnybody(a)
		if !found || err != nil {
			return c, false, err
		}
		a = way.Source
	}
	c.Local = netip.AddrPortFrom(a, c.Local.Port())
	return c, a.IsValid(), nil
}

// connectionsOf are the connections of sockets to other hosts.
func connectionsOf(inodes []uint32) (list []Carrier, err error) {
	for _, proto := range [...]uint8{packet.ProtoTCP, packet.ProtoUDP} {
		all, err := Established(proto)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if slices.Contains(inodes, s.Inode) && !s.Remote.Addr().IsLoopback() {
				_, served, err := Listens(proto, s.Local)
				if err != nil {
					return nil, err
				}
				list = append(list, Carrier{Proto: proto, Local: s.Local, Remote: s.Remote, Dials: !served})
			}
		}
	}
	return list, nil
}

// openUDP are the UDP sockets that take what anybody on the net sends.
func openUDP(inodes []uint32) (list []Listener, err error) {
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		all, err := diag(family, packet.ProtoUDP, 1<<tcpClose)
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			if slices.Contains(inodes, l.inode) && !l.IsLocal() {
				list = append(list, l)
			}
		}
	}
	return list, nil
}

// clientsOf are those who have sent to a UDP port, and those to whom it has sent
// first, as far as they are tracked.
func clientsOf(port uint16) (list []Carrier, err error) {
	tracked, err := trackedBy(func(c *packet.Connection) bool {
		return c.Original.Proto == packet.ProtoUDP && (c.ReplyTuple.SrcPort == port || c.Original.SrcPort == port)
	})
	for i := range tracked {
		t, dials := tracked[i].Connection.ReplyTuple, false
		if t.SrcPort != port {
			o := tracked[i].Connection.Original
			t, dials = packet.Tuple{Src: o.Src, SrcPort: o.SrcPort, Dst: o.Dst, DstPort: o.DstPort}, true
		}
		if own, err := Owns(t.Src); err != nil || !own || t.Dst.IsLoopback() { // another host's port of that number
			continue
		}
		list = append(list, Carrier{
			Proto: packet.ProtoUDP, Local: netip.AddrPortFrom(t.Src, t.SrcPort), Remote: netip.AddrPortFrom(t.Dst, t.DstPort), Dials: dials,
		})
	}
	return list, err
}

// isEphemeral reports whether a port may be one that the kernel has given to a
// socket that asked for none.
func isEphemeral(port uint16) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	fields := strings.Fields(string(b))
	if err != nil || len(fields) != 2 {
		return false
	}
	first, err1 := strconv.Atoi(fields[0])
	last, err2 := strconv.Atoi(fields[1])
	return err1 == nil && err2 == nil && int(port) >= first && int(port) <= last
}

// tunHolder is a process that holds a tun device, and its sockets by inode.
type tunHolder struct {
	program string
	inodes  []uint32
}

// holdersOfTun finds the processes that hold a tun device of a name, in any network
// namespace.
func holdersOfTun(device string) iter.Seq[tunHolder] {
	return func(yield func(tunHolder) bool) {
		processes, err := os.ReadDir("/proc")
		if err != nil {
			return
		}
		for _, p := range processes {
			name := p.Name()
			if name[0] < '0' || name[0] > '9' || !holdsTun("/proc/"+name, device) {
				continue
			}
			h := tunHolder{program: programName(name)}
			eachSocket("/proc/"+name+"/fd", func(inode uint32) { h.inodes = append(h.inodes, inode) })
			if !yield(h) {
				return
			}
		}
	}
}

// holdsTun looks for a descriptor of /dev/net/tun. What the kernel tells of it, see
// proc_pid_fdinfo(5), has a line "iff:" with the device's name.
func holdsTun(process, device string) bool {
	files, err := os.ReadDir(process + "/fd")
	if err != nil {
		return false
	}
	for _, f := range files {
		if to, err := os.Readlink(process + "/fd/" + f.Name()); err != nil || to != "/dev/net/tun" {
			continue
		}
		info, err := os.ReadFile(process + "/fdinfo/" + f.Name())
		if err == nil && slices.Contains(strings.Split(string(info), "\n"), "iff:\t"+device) {
			return true
		}
	}
	return false
}
