package ext

import (
	"encoding/binary"

	"moat/internal/packet"
)

// runBPF runs a classic program on the bytes of a packet: linux/bpf_common.h and
// linux/filter.h have the codes. A program that asks the kernel for something
// (negative offsets, SKF_AD_OFF) or does what the kernel refuses is not decided.
// A load past the end ends it with 0, as the kernel does.
func runBPF(program []BPFInstruction, data []byte) packet.Answer {
	m := bpfMachine{data: data}
	for at := 0; at >= 0 && at < len(program); at++ {
		i := program[at]
		switch i.Code & 7 {
		case bpfLD, bpfLDX:
			m.load(i)
		case bpfST:
			m.store(i.K, m.a)
		case bpfSTX:
			m.store(i.K, m.x)
		case bpfALU:
			m.compute(i.Code, m.operand(i))
		case bpfJMP:
			at += m.jump(i)
		case bpfRET:
			return m.result(i)
		case bpfMISC:
			if i.Code&0xf8 == 0 {
				m.x = m.a // TAX
			} else {
				m.a = m.x // TXA
			}
		}
		switch {
		case m.unknown:
			return packet.Unknown
		case m.ended:
			return packet.No
		}
	}
	return packet.Unknown
}

// Classes, and modes of loads: BPF_* of linux/bpf_common.h.
const (
	bpfLD   = 0
	bpfLDX  = 1
	bpfST   = 2
	bpfSTX  = 3
	bpfALU  = 4
	bpfJMP  = 5
	bpfRET  = 6
	bpfMISC = 7

	bpfIMM = 0x00
	bpfABS = 0x20
	bpfIND = 0x40
	bpfMEM = 0x60
	bpfLEN = 0x80
	bpfMSH = 0xa0
)

// bpfMachine is what a program works on.
type bpfMachine struct {
	data    []byte
	a, x    uint32
	memory  [16]uint32
	ended   bool // a load past the end
	unknown bool // something that bytes alone do not decide
}

// operand is X or the constant.
func (m *bpfMachine) operand(i BPFInstruction) uint32 {
	if i.Code&8 != 0 {
		return m.x
	}
	return i.K
}

func (m *bpfMachine) store(at, value uint32) {
	if at >= uint32(len(m.memory)) {
		m.unknown = true
		return
	}
	m.memory[at] = value
}

// load fills A or X.
func (m *bpfMachine) load(i BPFInstruction) {
	var v uint32
	switch i.Code & 0xe0 {
	case bpfIMM:
		v = i.K
	case bpfABS:
		v = m.bytes(i.Code, uint64(i.K))
	case bpfIND:
		v = m.bytes(i.Code, uint64(i.K)+uint64(m.x))
	case bpfMEM:
		if i.K >= uint32(len(m.memory)) {
			m.unknown = true
			return
		}
		v = m.memory[i.K]
	case bpfLEN:
		v = uint32(len(m.data))
	case bpfMSH:
		v = m.bytes(0x10, uint64(i.K)) & 15 * 4
	default:
		m.unknown = true
	}
	if i.Code&7 == bpfLDX {
		m.x = v
	} else {
		m.a = v
	}
}

// bytes reads a word, half word or byte of the packet in network order.
func (m *bpfMachine) bytes(code uint16, at uint64) uint32 {
	size := [...]uint64{4, 2, 1, 0}[code>>3&3]
	switch {
	case size == 0 || at >= 1<<31:
		m.unknown = true
		return 0
	case at+size > uint64(len(m.data)):
		m.ended = true
		return 0
	}
	var word [4]byte
	copy(word[4-size:], m.data[at:at+size])
	return binary.BigEndian.Uint32(word[:])
}

// compute works on A. Division by zero ends the program, as in the kernel.
func (m *bpfMachine) compute(code uint16, v uint32) {
	switch code & 0xf0 {
	case 0x00:
		m.a += v
	case 0x10:
		m.a -= v
	case 0x20:
		m.a *= v
	case 0x30, 0x90:
		m.divide(code&0xf0 == 0x90, v)
	case 0x40:
		m.a |= v
	case 0x50:
		m.a &= v
	case 0x60:
		m.a <<= v & 31
	case 0x70:
		m.a >>= v & 31
	case 0x80:
		m.a = -m.a
	case 0xa0:
		m.a ^= v
	default:
		m.unknown = true
	}
}

func (m *bpfMachine) divide(rest bool, v uint32) {
	switch {
	case v == 0:
		m.ended = true
	case rest:
		m.a %= v
	default:
		m.a /= v
	}
}

// jump gives how many instructions to pass over.
func (m *bpfMachine) jump(i BPFInstruction) int {
	v, yes := m.operand(i), false
	switch i.Code & 0xf0 {
	case 0x00:
		return int(min(i.K, xtBPFMax))
	case 0x10:
		yes = m.a == v
	case 0x20:
		yes = m.a > v
	case 0x30:
		yes = m.a >= v
	case 0x40:
		yes = m.a&v != 0
	default:
		m.unknown = true
	}
	if yes {
		return int(i.JT)
	}
	return int(i.JF)
}

// result is what the program returns: a constant or A; anything but 0 is a match.
func (m *bpfMachine) result(i BPFInstruction) packet.Answer {
	v := i.K
	switch i.Code & 0x18 {
	case 0x10:
		v = m.a
	case 0x08:
		v = m.x
	}
	return packet.Of(v != 0)
}
