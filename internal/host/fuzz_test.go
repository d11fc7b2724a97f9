package host

import (
	"encoding/binary"
	"testing"

	"moat/internal/packet"
)

// message is the start of a struct inet_diag_msg for an IPv4 socket.
func message() []byte {
	m := make([]byte, sizeDiagMessage)
	m[0], m[1] = 2, SocketEstablished
	binary.BigEndian.PutUint16(m[4:], 22)
	return m
}

func FuzzReadSocket(f *testing.F) {
	f.Add(message())
	f.Add(append(message(), 5, 0, 11, 0, 1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, m []byte) {
		_, ok, err := readSocket(m, packet.ProtoTCP)
		if len(m) < sizeDiagMessage && (ok || err == nil) {
			t.Fatalf("%d bytes are taken for a socket", len(m))
		}
		if len(m) >= sizeDiagMessage {
			readConnection(m)
		}
	})
}

func FuzzReadConntrack(f *testing.F) {
	tuple := tupleAttr(ctTupleOrig, packet.Tuple{Proto: packet.ProtoTCP, SrcPort: 50000, DstPort: 22}).Serialize()
	f.Add(append([]byte{2, 0, 0, 0}, tuple...))
	f.Add([]byte{10, 0, 0, 0, 8, 0, 3, 0, 0, 0, 1, 0x8e})
	f.Fuzz(func(t *testing.T, m []byte) {
		c, known, err := readConntrack(m)
		if err == nil && known&packet.KnowStatus == 0 && c.Status != 0 {
			t.Fatalf("%x: a status that is not told", m)
		}
	})
}
