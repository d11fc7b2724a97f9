package host

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// programCarrier finds what carries the packets of a program's own interface
// (OpenVPN's tun0): the one connection that the program has, or the one that comes to
// its UDP socket. Which of several clients is behind an address only the program knows.
func programCarrier(device string) (c Carrier, found bool, err error) {
	sockets, program := socketsOfTun(device)
	if len(sockets) == 0 {
		return c, false, nil
	}
	peers, err := peersOf(sockets)
	if len(peers) != 1 || err != nil {
		return c, false, err
	}
	c = peers[0]
	c.Tunnel = strings.TrimSpace(program+" ") + " " + device
	return c, true, nil
}

// peersOf are the connections of sockets to elsewhere; two or more are as good as all.
func peersOf(sockets []uint32) (list []Carrier, err error) {
	for _, proto := range [...]uint8{packet.ProtoTCP, packet.ProtoUDP} {
		connected, err := Established(proto)
		if err != nil {
			return nil, err
		}
		for _, s := range connected {
			if slices.Contains(sockets, s.Inode) && !s.Remote.Addr().IsLoopback() {
				list = append(list, Carrier{Proto: proto, Local: s.Local, Remote: s.Remote, AnyPort: true})
			}
		}
	}
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		open, err := diag(family, packet.ProtoUDP, 1<<tcpClose)
		if err != nil {
			return nil, err
		}
		for i := range open {
			if l := &open[i]; slices.Contains(sockets, l.inode) && len(list) < 2 {
				clients, err := clientsOf(l.Port)
				if err != nil {
					return nil, err
				}
				list = append(list, clients...)
			}
		}
	}
	return list, nil
}

// clientsOf are those who have sent to a UDP port, as far as they are tracked.
func clientsOf(port uint16) (list []Carrier, err error) {
	tracked, err := TrackedTo(packet.ProtoUDP, port)
	for i := range tracked {
		if t := &tracked[i].Connection.ReplyTuple; !t.Dst.IsLoopback() {
			list = append(list, Carrier{
				Proto: packet.ProtoUDP, AnyPort: true,
				Local: netip.AddrPortFrom(t.Src, t.SrcPort), Remote: netip.AddrPortFrom(t.Dst, t.DstPort),
			})
		}
	}
	return list, err
}

// socketsOfTun are the sockets, by inode, of the process that holds a tun device, and
// its name.
func socketsOfTun(device string) (inodes []uint32, program string) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, ""
	}
	for _, p := range processes {
		if name := p.Name(); name[0] >= '0' && name[0] <= '9' && holdsTun("/proc/"+name, device) {
			eachSocket("/proc/"+name+"/fd", func(inode uint32) { inodes = append(inodes, inode) })
			return inodes, programName(name)
		}
	}
	return nil, ""
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
