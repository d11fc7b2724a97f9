package ext

// NFQUEUE: iptables-extensions(8), "NFQUEUE".
// UAPI: linux/netfilter/xt_NFQUEUE.h: revisions 0 to 3, struct xt_NFQ_info to
// xt_NFQ_info_v3.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// NFQueue gives the packet to a program, which decides.
type NFQueue struct {
	First  uint16 // number of the queue, or of the first of Count
	Count  uint16 // queues among which connections are spread; 1: one queue
	Bypass bool   // accept the packet if no program listens; needs revision 2
	Fanout bool   // spread by CPU, not by connection; needs revision 3
}

var nfqueue = Def{
	Name: "NFQUEUE", Kind: Target, Families: Both,
	Summary: "let a program decide about the packet",
	Options: []Option{
		{Name: "queue-num", Value: "NUMBER", Excludes: []string{"queue-balance"}, Help: "queue 0 to 65535 (default 0)"},
		{Name: "queue-balance", Value: "FIRST:LAST", Help: "spread connections among these queues"},
		{Name: "queue-bypass", Help: "accept the packet if no program listens"},
		{Name: "queue-cpu-fanout", Needs: []string{"queue-balance"}, Help: "choose the queue by the CPU's number"},
	},
	Revisions: []Revision{{Rev: 0, Size: 2}, {Rev: 1, Size: 4}, {Rev: 2, Size: 6}, {Rev: 3, Size: 6}},
	New:       func(rule.Family) Ext { return &NFQueue{Count: 1} },
}

func init() { register(&nfqueue) }

// Flags of struct xt_NFQ_info_v3: NFQ_FLAG_*.
const (
	nfqBypass = 1
	nfqFanout = 2
	nfqMask   = 3
)

func (t *NFQueue) Name() string { return "NFQUEUE" }
func (t *NFQueue) Def() *Def    { return &nfqueue }

func (t *NFQueue) Set(a *Arg) error {
	switch a.Option.Name {
	case "queue-num":
		n, err := a.Uint(0, 65535)
		t.First = uint16(n)
		return err
	case "queue-balance":
		return t.setBalance(a)
	case "queue-bypass":
		t.Bypass = true
	case "queue-cpu-fanout":
		t.Fanout = true
	}
	return nil
}

// setBalance reads FIRST:LAST, either of which may be left out. From 0 to 65535
// are more queues than Count holds: it becomes 0, which the kernel refuses.
func (t *NFQueue) setBalance(a *Arg) error {
	first, last, ok := strings.Cut(a.Value, ":")
	if !ok {
		return a.Bad("two queues, FIRST:LAST")
	}
	from, to := uint64(0), uint64(65535)
	var err error
	if first != "" {
		if from, err = a.UintOf(first, 0, 65535); err != nil {
			return err
		}
	}
	if last != "" {
		if to, err = a.UintOf(last, 0, 65535); err != nil {
			return err
		}
	}
	if from >= to {
		return a.Errorf("%s: the last queue's number must be greater than the first's", a.Value)
	}
	t.First, t.Count = uint16(from), uint16(to-from+1)
	return nil
}

func (t *NFQueue) Save(p *Printer) { t.print(p, " --queue-", " --queue-") }

func (t *NFQueue) List(p *Printer) {
	p.Str(" NFQUEUE")
	t.print(p, " ", " ")
}

// print prints the numbers and the flags, each with its words before it.
func (t *NFQueue) print(p *Printer, before, beforeFlag string) {
	p.Str(before)
	if t.Count == 1 {
		p.Str("num ")
		p.Uint(uint64(t.First))
	} else {
		p.Str("balance ")
		p.Uint(uint64(t.First))
		p.Byte(':')
		p.Uint(uint64(t.First + t.Count - 1))
	}
	if t.Bypass {
		p.Str(beforeFlag + "bypass")
	}
	if t.Fanout {
		p.Str(beforeFlag + "cpu-fanout")
	}
}

// Info writes the struct of the revision, as much of it as there is.
func (t *NFQueue) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host16(t.First)
	if rev > 0 {
		w.Host16(t.Count)
	}
	if rev > 1 {
		w.Host16(flag[uint16](t.Bypass, nfqBypass) | flag[uint16](t.Fanout && rev > 2, nfqFanout))
	}
}

// Read reads the struct of the revision.
func (t *NFQueue) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	t.First = r.Host16()
	if rev > 0 {
		t.Count = r.Host16()
	}
	var flags uint16
	if rev > 1 {
		flags = r.Host16()
	}
	t.Bypass, t.Fanout = flags&nfqBypass != 0, flags&nfqFanout != 0
	if t.Count == 0 || flags&^nfqMask != 0 || rev == 2 && t.Fanout {
		return nft.ErrMalformed
	}
	return nil
}

// Fate is a program's to decide.
func (t *NFQueue) Fate() Fate { return Queues }
