package kernel

import (
	"moat/internal/change"
	"moat/internal/kernel/nft"
)

// Trace is what -vv prints beside the notes: the rules that had to be read, and
// the objects of the transaction, in the text form of nft --debug=netlink.
type Trace struct {
	Read []byte // comes before the notes
	Sent []byte // comes after them
	// rules are the texts in Read by handle.
	rules map[uint64][]byte
}

// ApplyTraced is ApplyVerbosely that also tells what -vv prints. With an error
// of the plan nothing was sent, with one of the kernel Sent is what it refused.
func (k *Kernel) ApplyTraced(s *change.Script) (notes []Note, trace *Trace, err error) {
	trace = &Trace{}
	watched, err := k.watches(s)
	if err == nil {
		err = k.apply(s, watched, &notes, trace)
	}
	return notes, trace, err
}

// reading makes a reader of rules note each, the first time that it is read.
func (t *Trace) reading(each func(*nft.RuleView) error) func(*nft.RuleView) error {
	if t == nil {
		return each
	}
	return func(v *nft.RuleView) error {
		if t.rules[v.Handle] == nil {
			at := len(t.Read)
			t.Read = nft.AppendDebugRule(t.Read, v)
			t.rules[v.Handle] = t.Read[at:len(t.Read):len(t.Read)]
		}
		return each(v)
	}
}

// begin forgets an earlier try.
func (t *Trace) begin() {
	if t != nil {
		*t = Trace{rules: map[uint64][]byte{}}
	}
}

// sending notes a transaction.
func (t *Trace) sending(b *nft.Batch) {
	if t != nil {
		t.Sent = b.AppendDebug(nil, func(handle uint64) []byte { return t.rules[handle] })
	}
}
