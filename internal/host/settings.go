package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// readSettings reads the interface's files of /proc/sys/net, see the kernel's
// ip-sysctl. A file that is not there (no IPv6, an interface that just went)
// counts as 0.
func (i *Interface) readSettings() {
	v4 := func(name string) (all, own int) {
		return setting("ipv4/conf/all/" + name), setting("ipv4/conf/" + i.Name + "/" + name)
	}
	_, own := v4("forwarding")
	i.Forward4 = own != 0
	all, own := v4("rp_filter")
	i.RPFilter = max(all, own)
	all, own = v4("route_localnet")
	i.RouteLocalnet = all|own != 0
	all, own = v4("src_valid_mark")
	i.SourceMark = all|own != 0
	all, own = v4("accept_local")
	i.AcceptLocal = all|own != 0
	i.Forward6 = setting("ipv6/conf/all/forwarding") != 0 || setting("ipv6/conf/"+i.Name+"/force_forwarding") != 0
	i.PreferTemporary = setting("ipv6/conf/"+i.Name+"/use_tempaddr") > 1
}

// setting is the number in a file below /proc/sys/net.
func setting(path string) int {
	b, err := os.ReadFile("/proc/sys/net/" + path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil {
		return 0
	}
	return n
}

// readGroups gives the multicast groups that are joined, by interface: from
// /proc/net/igmp and igmp6 of this thread's namespace. A file that is not there
// has none.
func readGroups() map[string][]netip.Addr {
	groups := map[string][]netip.Addr{}
	dev := ""
	eachLine("igmp", func(line string) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 1 && line[0] != '\t': // "2	eth0      :     1      V3"
			dev = strings.TrimSuffix(fields[1], ":")
		case len(fields) > 0: // "				010000E0     1 0:00000000		0", in host order
			if n, err := strconv.ParseUint(fields[0], 16, 32); err == nil {
				groups[dev] = append(groups[dev], hostOrder4(uint32(n)))
			}
		}
	})
	eachLine("igmp6", func(line string) { // "2    eth0            ff02…01     1 0000000C 0"
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return
		}
		if b, err := hex.DecodeString(fields[2]); err == nil {
			if a, ok := netip.AddrFromSlice(b); ok {
				groups[fields[1]] = append(groups[fields[1]], a)
			}
		}
	})
	return groups
}

// eachLine reads a file of /proc/net.
func eachLine(name string, each func(line string)) {
	b, err := os.ReadFile("/proc/thread-self/net/" + name)
	if err != nil {
		return
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		each(s.Text())
	}
}

// hostOrder4 is the address whose bytes lie in memory as those of n do.
func hostOrder4(n uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
