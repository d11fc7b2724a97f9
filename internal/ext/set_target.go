package ext

// SET: iptables-extensions(8), "SET".
// UAPI: linux/netfilter/xt_set.h: revision 0 struct xt_set_info_target_v0 to
// revision 3 struct xt_set_info_target_v3.

import (
	"slices"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// SetTarget adds the packet's addresses and ports to a set of ipset(8), deletes
// them from one, or takes the packet's properties from one. A SetRef without
// Dirs is not given.
type SetTarget struct {
	Add, Del, Map SetRef
	Exist         bool   // adding what is there starts its timeout anew; needs revision 2
	HasTimeout    bool   // needs revision 2
	Timeout       uint32 // seconds
	// What is taken from the element that Map finds; needs revision 3.
	MapMark, MapPrio, MapQueue bool
}

var setTarget = Def{
	Name: "SET", Kind: Target, Families: Both,
	Summary: "add to, delete from or look up in sets of ipset(8)",
	Options: []Option{ // 1.8.9 does not mind a "!" before any of them
		{Name: "add-set", Value: "SET src|dst[,...]", Not: true, Repeat: true, Help: "add source or destination, for each part of the set's elements, to SET"},
		{Name: "del-set", Value: "SET src|dst[,...]", Not: true, Repeat: true, Help: "delete them from SET"},
		{Name: "map-set", Value: "SET src|dst[,...]", Not: true, Repeat: true, Help: "look them up in SET, created with skbinfo"},
		{Name: "timeout", Value: "SECONDS", Not: true, Repeat: true, Help: "timeout of the element, instead of the set's"},
		{Name: "exist", Not: true, Repeat: true, Help: "start the timeout of an element that is there anew"},
		{Name: "map-mark", Not: true, Repeat: true, Help: "take the packet's mark from the element"},
		{Name: "map-prio", Not: true, Repeat: true, Help: "take the packet's priority from the element"},
		{Name: "map-queue", Not: true, Repeat: true, Help: "take the hardware queue from the element"},
	},
	AnyOf:     []string{"add-set", "del-set", "map-set"},
	Revisions: []Revision{{Rev: 0, Size: 64}, {Rev: 1, Size: 8}, {Rev: 2, Size: 16}, {Rev: 3, Size: 20}},
	New:       func(rule.Family) Ext { return &SetTarget{} },
}

func init() { register(&setTarget) }

// Numbers of linux/netfilter/ipset/ip_set.h.
const (
	setInvalidID = 65535     // IPSET_INVALID_ID: no set
	setNoTimeout = 1<<32 - 1 // of struct xt_set_info_target_v2: none given
	setExist     = 1 << 0    // IPSET_FLAG_EXIST
	setMapMark   = 1 << 8    // IPSET_FLAG_MAP_SKBMARK
	setMapPrio   = 1 << 9    // IPSET_FLAG_MAP_SKBPRIO
	setMapQueue  = 1 << 10   // IPSET_FLAG_MAP_SKBQUEUE
	setMapAny    = 7 * setMapMark
)

func (t *SetTarget) Name() string { return "SET" }
func (t *SetTarget) Def() *Def    { return &setTarget }

func (t *SetTarget) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "add-set":
		err = t.Add.setOnce(a)
	case "del-set":
		err = t.Del.setOnce(a)
	case "map-set":
		err = t.Map.setOnce(a)
	case "exist":
		t.Exist = true
	case "map-mark":
		t.MapMark = true
	case "map-prio":
		t.MapPrio = true
	case "map-queue":
		t.MapQueue = true
	case "timeout":
		var n uint64
		n, err = a.Uint(0, setNoTimeout-1)
		t.Timeout, t.HasTimeout = uint32(n), true
	}
	return err
}

// setOnce takes a set and its directions.
func (s *SetRef) setOnce(a *Arg) (err error) {
	if s.Dirs != nil {
		return a.Errorf("can only be used once.")
	}
	*s, err = a.setRef(a.Value, a.Second)
	return err
}

// Check asks for the set that a flag is for, in the words of 1.8.9, and what a
// set is looked up for.
func (t *SetTarget) Check(*Context) error {
	for _, f := range [...]struct {
		given     bool
		flag, set string
		ref       *SetRef
	}{
		{t.Exist, "exist", "add-set", &t.Add}, {t.HasTimeout, "timeout", "add-set", &t.Add},
		{t.MapMark, "map-mark", "map-set", &t.Map}, {t.MapPrio, "map-prio", "map-set", &t.Map}, {t.MapQueue, "map-queue", "map-set", &t.Map},
	} {
		if f.given && f.ref.Dirs == nil {
			return Errorf(t, "Flag `--%s' can be used with `--%s' only", f.flag, f.set)
		}
	}
	if t.Map.Dirs != nil && !t.MapMark && !t.MapPrio && !t.MapQueue {
		return Errorf(t, "--map-set needs --map-mark, --map-prio or --map-queue")
	}
	return nil
}

func (t *SetTarget) Save(p *Printer) { t.print(p, " --") }

// List prints the same words as Save without the dashes.
func (t *SetTarget) List(p *Printer) { t.print(p, " ") }

func (t *SetTarget) print(p *Printer, before string) {
	t.Add.print(p, before+"add-set ")
	if t.Exist {
		p.Str(before + "exist")
	}
	if t.HasTimeout {
		p.Str(before + "timeout ")
		p.Uint(uint64(t.Timeout))
	}
	t.Del.print(p, before+"del-set ")
	t.Map.print(p, before+"map-set ")
	for _, o := range [...]struct {
		on   bool
		name string
	}{{t.MapMark, "map-mark"}, {t.MapPrio, "map-prio"}, {t.MapQueue, "map-queue"}} {
		if o.on {
			p.Str(before + o.name)
		}
	}
}

// print prints the set, if it is given.
func (s *SetRef) print(p *Printer, before string) {
	if s.Dirs != nil {
		p.Str(before)
		p.setRef(s)
	}
}

// Equal compares indexes, since a rule of the kernel has no names.
func (t *SetTarget) Equal(other Ext) bool {
	o, ok := other.(*SetTarget)
	return ok && t.Add.same(&o.Add) && t.Del.same(&o.Del) && t.Map.same(&o.Map) &&
		t.Exist == o.Exist && t.HasTimeout == o.HasTimeout && t.Timeout == o.Timeout &&
		t.MapMark == o.MapMark && t.MapPrio == o.MapPrio && t.MapQueue == o.MapQueue
}

// same reports whether two references are to the same set with the same directions.
func (s *SetRef) same(o *SetRef) bool { return s.Index == o.Index && slices.Equal(s.Dirs, o.Dirs) }

// Info writes the struct of the revision.
func (t *SetTarget) Info(w nft.Info, rev uint8, _ rule.Family) {
	if rev == 0 {
		t.Add.infoOld(w)
		t.Del.infoOld(w)
		return
	}
	t.Add.infoOrNone(w)
	t.Del.infoOrNone(w)
	flags := flag[uint32](t.Exist, setExist)
	if rev == 3 {
		t.Map.infoOrNone(w)
		flags |= flag[uint32](t.MapMark, setMapMark) | flag[uint32](t.MapPrio, setMapPrio) | flag[uint32](t.MapQueue, setMapQueue)
	}
	if rev == 1 {
		return
	}
	w.Host32(flags)
	if t.HasTimeout {
		w.Host32(t.Timeout)
	} else {
		w.Host32(setNoTimeout)
	}
}

// infoOrNone writes struct xt_set_info; without a set its index is none's.
func (s *SetRef) infoOrNone(w nft.Info) {
	if s.Dirs == nil {
		s = &SetRef{Index: setInvalidID}
	}
	s.info(w, 0)
}

// infoOld writes struct xt_set_info_v0: a number for each part, up to a zero.
func (s *SetRef) infoOld(w nft.Info) {
	start := w.Len()
	if s.Dirs == nil {
		w.Host16(setInvalidID)
	} else {
		w.Host16(s.Index)
	}
	for _, src := range s.Dirs {
		f := uint32(oldSetDst)
		if src {
			f = oldSetSrc
		}
		w.Host32(f)
	}
	w.PadTo(start + 32)
}

// Read reads the struct of the revision.
func (t *SetTarget) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	if rev == 0 {
		if err := t.Add.readOld(r); err != nil {
			return err
		}
		return t.Del.readOld(r)
	}
	sets := []*SetRef{&t.Add, &t.Del, &t.Map}
	if rev < 3 {
		sets = sets[:2]
	}
	for _, s := range sets {
		if err := s.readOrNone(r); err != nil {
			return err
		}
	}
	if rev == 1 {
		return nil
	}
	return t.readFlags(r.Host32(), r.Host32(), rev)
}

// readFlags takes flags and timeout, which revisions from 2 on have.
func (t *SetTarget) readFlags(flags, timeout uint32, rev uint8) error {
	known := uint32(setExist)
	if rev == 3 {
		known |= setMapAny
	}
	t.Exist, t.MapMark = flags&setExist != 0, flags&setMapMark != 0
	t.MapPrio, t.MapQueue = flags&setMapPrio != 0, flags&setMapQueue != 0
	if t.HasTimeout = timeout != setNoTimeout; t.HasTimeout {
		t.Timeout = timeout
	}
	if flags&^known != 0 {
		return nft.ErrMalformed
	}
	return nil
}

// readOrNone reads struct xt_set_info, which may hold no set.
func (s *SetRef) readOrNone(r *nft.InfoReader) error {
	flags, err := s.read(r)
	switch {
	case err != nil:
		return err
	case s.Index == setInvalidID:
		*s = SetRef{}
	case flags != 0 || len(s.Dirs) == 0:
		return nft.ErrMalformed
	}
	return nil
}

// readOld reads struct xt_set_info_v0, also as the kernel turns it into the
// newer form: dimension and flags behind six numbers.
func (s *SetRef) readOld(r *nft.InfoReader) error {
	s.Index = r.Host16()
	var numbers [maxSetDirs]uint32
	for i := range numbers {
		numbers[i] = r.Host32()
	}
	dim, flags := r.U8(), r.U8()
	r.Align(4)
	if s.Index == setInvalidID {
		*s = SetRef{}
		return nil
	}
	for i, f := range numbers {
		switch {
		case dim > 0 && i < int(dim):
			s.Dirs = append(s.Dirs, flags>>(i+1)&1 != 0)
		case dim == 0 && f != 0:
			s.Dirs = append(s.Dirs, f&oldSetSrc != 0)
		}
	}
	if dim > maxSetDirs || len(s.Dirs) == 0 {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate notes that sets are not what they were before, and takes from an
// element what no packet tells.
func (t *SetTarget) Mutate(p *packet.Packet) {
	if p.Host != nil && (t.Add.Dirs != nil || t.Del.Dirs != nil) {
		p.Host = changedSets{p.Host}
	}
	p.Known &^= flag(t.MapMark, packet.KnowMark) | flag(t.MapPrio, packet.KnowPriority)
}

// changedSets is a host whose sets have been changed since it was asked. A set
// may be a list of others, so that none of them is known any more.
type changedSets struct{ packet.Host }

// InSet does not know.
func (changedSets) InSet(string, []string, *packet.Packet) (in, known bool) { return false, false }
