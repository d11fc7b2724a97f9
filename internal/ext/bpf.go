package ext

// bpf: iptables-extensions(8), "bpf".
// UAPI: linux/netfilter/xt_bpf.h, struct xt_bpf_info and xt_bpf_info_v1,
// revisions 0 and 1; linux/filter.h, struct sock_filter. Their pointers are the
// kernel's own.

import (
	"slices"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// BPF matches packets for which a program of the Berkeley packet filter gives
// anything but 0.
type BPF struct {
	Program []BPFInstruction // classic bytecode, or
	Path    string           // the pinned object that holds the program
}

// BPFInstruction is struct sock_filter.
type BPFInstruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// xtBPFMax is XT_BPF_MAX_NUM_INSTR; a path has the place of as many instructions.
const (
	xtBPFMax     = 64
	xtBPFPathMax = xtBPFMax * 8
)

var bpf = Def{
	Name: "bpf", Kind: Match, Families: Both,
	Summary: "a program of the Berkeley packet filter",
	Options: []Option{
		{Name: "bytecode", Value: "PROGRAM", Excludes: []string{"object-pinned"}, Help: "number of instructions, then each as CODE JT JF K, with commas between, as nfbpf_compile writes it"},
		{Name: "object-pinned", Value: "PATH", Help: "path of a program pinned in a BPF file system"},
	},
	AnyOf:     []string{"bytecode", "object-pinned"},
	Revisions: []Revision{{Rev: 0, Size: 528}, {Rev: 1, Size: 528}},
	New:       func(rule.Family) Ext { return &BPF{} },
}

func init() { register(&bpf) }

func (m *BPF) Name() string { return "bpf" }
func (m *BPF) Def() *Def    { return &bpf }

func (m *BPF) Set(a *Arg) (err error) {
	if a.Is("bytecode") {
		m.Program, err = a.bpfProgram()
		return err
	}
	if len(a.Value) >= xtBPFPathMax {
		return a.Errorf("takes a path of at most %d bytes", xtBPFPathMax-1)
	}
	m.Path = a.Value
	if err := bpfPinned(a.Value); err != nil {
		return a.Errorf("failed to get the BPF object pinned at %q: %v", a.Value, err)
	}
	return nil
}

// bpfProgram reads "N,CODE JT JF K,…". As in 1.8.9 numbers lose bits that their
// fields do not have, and what follows K does not matter.
func (a *Arg) bpfProgram() ([]BPFInstruction, error) {
	s := scanner{rest: a.Value}
	n := uint16(s.decimal())
	if s.failed || !strings.HasPrefix(s.rest, ",") {
		return nil, a.Bad("the number of instructions, a comma, and the instructions")
	}
	if n == 0 || n > xtBPFMax {
		return nil, a.Errorf("takes 1 to %d instructions, not %d", xtBPFMax, n)
	}
	program, rest := make([]BPFInstruction, 0, n), s.rest[1:]
	for ; rest != ""; _, rest, _ = strings.Cut(rest, ",") {
		if len(program) == int(n) {
			return nil, a.Errorf("says that there are %d instructions, but has more", n)
		}
		s := scanner{rest: rest}
		i := BPFInstruction{uint16(s.decimal()), uint8(s.decimal()), uint8(s.decimal()), uint32(s.decimal())}
		if s.failed {
			return nil, a.Errorf("instruction %d: takes four numbers, CODE JT JF K", len(program))
		}
		program = append(program, i)
	}
	if len(program) < int(n) {
		return nil, a.Errorf("says that there are %d instructions, but has %d", n, len(program))
	}
	return program, nil
}

// scanner reads numbers as scanf(3) does with %u.
type scanner struct {
	rest   string
	failed bool // a number was missing
}

// decimal reads the next number; a negative one counts from 2^64 down.
func (s *scanner) decimal() uint64 {
	text := strings.TrimLeft(s.rest, " \t\n\v\f\r")
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	s.rest = strings.TrimLeft(digits, "0123456789")
	if len(s.rest) == len(digits) {
		s.failed = true
		return 0
	}
	n, _ := decimalPrefix(digits)
	if negative {
		return -n
	}
	return n
}

func (m *BPF) Save(p *Printer) {
	if m.Path != "" {
		p.OptionStr(false, "object-pinned", m.Path)
		return
	}
	p.Option(false, "bytecode")
	p.Str(` "`)
	p.Uint(uint64(len(m.Program)))
	for _, i := range m.Program {
		p.Byte(',')
		p.instruction(i)
	}
	p.Byte('"')
}

// instruction prints CODE JT JF K.
func (p *Printer) instruction(i BPFInstruction) {
	p.Uint(uint64(i.Code))
	p.Byte(' ')
	p.Uint(uint64(i.JT))
	p.Byte(' ')
	p.Uint(uint64(i.JF))
	p.Byte(' ')
	p.Uint(uint64(i.K))
}

// List begins without a blank and ends bytecode with a zero byte, as 1.8.9 does.
func (m *BPF) List(p *Printer) {
	p.Str("match bpf ")
	if m.Path != "" {
		p.Str("pinned ")
		p.Str(m.Path)
		return
	}
	for n, i := range m.Program {
		if n > 0 {
			p.Byte(',')
		}
		p.instruction(i)
	}
	p.Byte(0)
}

// The modes of revision 1: XT_BPF_MODE_*. In mode pinned the kernel looks at the
// path alone; the number there is what 1.8.9's file has, which its -C compares.
const (
	xtBPFBytecode   = 0
	xtBPFPinned     = 1
	xtBPFPinnedFile = 4
)

// Info writes struct xt_bpf_info or xt_bpf_info_v1. Revision 0 has no paths.
func (m *BPF) Info(w nft.Info, rev uint8, _ rule.Family) {
	switch {
	case rev == 0:
		w.Host16(uint16(len(m.Program)))
	case m.Path != "":
		w.Host16(xtBPFPinned)
		w.Host16(0)
		w.Host32(xtBPFPinnedFile)
		w.String(m.Path, xtBPFPathMax)
	default:
		w.Host16(xtBPFBytecode)
		w.Host16(uint16(len(m.Program)))
		w.Host32(0)
	}
	for _, i := range m.Program {
		w.Align(4)
		w.Host16(i.Code)
		w.U8(i.JT)
		w.U8(i.JF)
		w.Host32(i.K)
	}
}

// Read reads struct xt_bpf_info or xt_bpf_info_v1.
func (m *BPF) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	mode := uint16(xtBPFBytecode)
	if rev == 1 {
		mode = r.Host16()
	}
	n := r.Host16()
	if rev == 1 {
		r.Host32()
	}
	switch {
	case mode == xtBPFPinned:
		if m.Path = r.String(xtBPFPathMax); m.Path == "" {
			return nft.ErrMalformed
		}
		return nil
	case mode != xtBPFBytecode || n > xtBPFMax || n == 0:
		return nft.ErrMalformed
	}
	r.Align(4)
	for range n {
		m.Program = append(m.Program, BPFInstruction{r.Host16(), r.U8(), r.U8(), r.Host32()})
	}
	return nil
}

// Equal compares the instructions one by one.
func (m *BPF) Equal(other Ext) bool {
	o, ok := other.(*BPF)
	return ok && m.Path == o.Path && slices.Equal(m.Program, o.Program)
}

// Match runs bytecode on a packet whose bytes were told.
func (m *BPF) Match(p *packet.Packet) packet.Answer {
	if p.Bytes == nil || len(m.Program) == 0 {
		return packet.Unknown
	}
	return runBPF(m.Program, p.Bytes)
}
