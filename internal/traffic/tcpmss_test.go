package traffic

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
)

// "--set-mss value: Explicitly sets MSS option to specified value. If the MSS
// of the packet is already lower than value, it will not be increased";
// "--clamp-mss-to-pmtu: Automatically clamp MSS value to (path_MTU - 40 for
// IPv4; -60 for IPv6)".
func TestTcpmssChangesTheSynThatThePeerSees(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 900")
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80,81,82,83")
		n.Router.Sh("ip link set eth1 mtu 1300")
		f.rules(n.Router,
			"-t mangle -A FORWARD -p tcp --dport 81 --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 900",
			"-t mangle -A FORWARD -p tcp --dport 82 --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 9000",
			"-t mangle -A FORWARD -p tcp --dport 83 --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu")
		headers := 40
		if f == ipv6 {
			headers = 60
		}
		for port, want := range map[uint16]int{80: 1500 - headers, 81: 900, 82: 1500 - headers, 83: 1300 - headers} {
			seen := watchSegments(t, n.Server)
			n.Client.Expect(lab.TCP(lab.At(f.server, port)), lab.Open)
			if got := seen.mss(t, port); got != want {
				t.Errorf("SYN to port %d has MSS %d, want %d", port, got, want)
			}
		}
	})
}

// "-m tcpmss --mss value[:value]: Match a given TCP MSS value or range", which
// follows what TCPMSS wrote.
func TestTcpmssMatchReadsTheOption(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A FORWARD -p tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 900")
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80")
		f.rules(n.Router,
			"-t mangle -A FORWARD -p tcp --dport 80 --tcp-flags SYN,RST SYN -m tcpmss --mss 1000:1500 -j TCPMSS --set-mss 900",
			"-A FORWARD -p tcp --dport 80 --syn -m tcpmss --mss 900",
			"-A FORWARD -p tcp --dport 80 --syn -m tcpmss ! --mss 800:899",
			"-A FORWARD -p tcp --dport 80 --syn -m tcpmss --mss 901:65535")
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Open)
		f.wantPackets(t, n.Router, rule{"mangle", "FORWARD", 1}, 1)
		f.wantPackets(t, n.Router, rule{"filter", "FORWARD", 1}, 1)
		f.wantPackets(t, n.Router, rule{"filter", "FORWARD", 2}, 1)
		f.wantPackets(t, n.Router, rule{"filter", "FORWARD", 3}, 0)
	})
}

// segments is a packet socket (packet(7)) that sees whole TCP headers.
type segments struct{ fd int }

func watchSegments(t *testing.T, h *lab.Host) segments {
	t.Helper()
	var s segments
	err := h.Do(func() (err error) {
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // network byte order
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
		return err
	})
	if err != nil {
		t.Fatalf("packet socket: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Close(s.fd); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mss waits for a SYN without ACK to a port and gives its MSS option in bytes,
// 0 when it has none.
func (s segments) mss(t *testing.T, port uint16) int {
	t.Helper()
	buf := make([]byte, 2048)
	for end := time.Now().Add(lab.LongWait); time.Now().Before(end); {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		tcp := segment(buf[:n])
		if len(tcp) >= 20 && binary.BigEndian.Uint16(tcp[2:]) == port && tcp[13]&(lab.SYN|lab.ACK) == lab.SYN {
			return mssOption(tcp[20:min(len(tcp), int(tcp[12]>>4)*4)])
		}
	}
	t.Fatalf("no SYN to port %d", port)
	return 0
}

// segment gives the TCP header and payload of an IP packet without extension
// headers, nil of any other.
func segment(b []byte) []byte {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && b[9] == lab.ProtoTCP && len(b) >= int(b[0]&15)*4:
		return b[int(b[0]&15)*4:]
	case len(b) >= 40 && b[0]>>4 == 6 && b[6] == lab.ProtoTCP:
		return b[40:]
	}
	return nil
}

// mssOption gives the value of option 2 (RFC 9293, section 3.2).
func mssOption(b []byte) int {
	for len(b) >= 2 && b[0] != 0 {
		switch {
		case b[0] == 1:
			b = b[1:]
		case b[0] == 2 && len(b) >= 4:
			return int(binary.BigEndian.Uint16(b[2:]))
		default:
			b = b[min(max(int(b[1]), 2), len(b)):]
		}
	}
	return 0
}
