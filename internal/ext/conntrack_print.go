package ext

// Save prints the conditions in the order of 1.8.9.
func (m *Conntrack) Save(p *Printer) { m.print(p, " --") }

// List prints the same words as Save without the dashes.
func (m *Conntrack) List(p *Printer) { m.print(p, " ") }

// begin prints the name of a condition if it was given.
func (m *Conntrack) begin(p *Printer, bit uint16, before, name string) bool {
	if m.Given&bit == 0 {
		return false
	}
	if m.Not&bit != 0 && bit != xtConntrackDirection {
		p.Str(" !")
	}
	p.Str(before)
	p.Str(name)
	p.Byte(' ')
	return true
}

// print prints all conditions; before stands in front of each name.
func (m *Conntrack) print(p *Printer, before string) {
	isSave := before != " "
	name := "ctstate"
	if m.isState() {
		name = "state"
	}
	if m.begin(p, xtConntrackState, before, name) {
		p.flagSet(m.State, conntrackStates[:])
	}
	if m.begin(p, xtConntrackProto, before, "ctproto") {
		p.Uint(uint64(m.Proto))
	}
	for i, name := range ctAddrNames {
		if m.begin(p, xtConntrackOrigSrc<<i, before, name) {
			m.Addr[i].print(p, p.Numeric || isSave)
		}
	}
	for i, name := range ctPortNames {
		if m.begin(p, xtConntrackOrigPort<<i, before, name) {
			p.fromTo(uint64(m.Port[i].From), uint64(m.Port[i].To))
		}
	}
	if m.begin(p, xtConntrackStatus, before, "ctstatus") {
		if m.Status == 0 {
			p.Str("NONE")
		}
		p.flagSet(m.Status, conntrackStatus[1:])
	}
	if m.begin(p, xtConntrackExpires, before, "ctexpire") {
		p.fromTo(uint64(m.Expires[0]), uint64(m.Expires[1]))
	}
	if m.begin(p, xtConntrackDirection, before, "ctdir") {
		if m.Not&xtConntrackDirection != 0 {
			p.Str("REPLY")
		} else {
			p.Str("ORIGINAL")
		}
	}
}

// flagSet prints the names of the bits that are set, with commas.
func (p *Printer) flagSet(set uint16, names []flagName) {
	comma := false
	for _, n := range names {
		if set&n.bit == 0 {
			continue
		}
		if comma {
			p.Byte(',')
		}
		p.Str(n.name)
		comma = true
	}
}

// fromTo prints a number, or two with a colon if they differ.
func (p *Printer) fromTo(from, to uint64) {
	p.Uint(from)
	if to != from {
		p.Byte(':')
		p.Uint(to)
	}
}

// print prints address and mask; not numeric: the host's name, and "anywhere"
// for the zero address under any mask, as 1.8.9 does.
func (a AddrMask) print(p *Printer, numeric bool) {
	if !numeric && a.IP.IsUnspecified() {
		p.Str("anywhere")
		return
	}
	name := ""
	if !numeric {
		name = p.Names.HostName(a.IP)
	}
	if name != "" {
		p.Str(name)
	} else {
		p.Addr(a.IP)
	}
	a.printMask(p)
}

// printMask prints "/N", "/MASK" for a mask with holes, nothing for a full one.
func (a AddrMask) printMask(p *Printer) {
	a = a.normal()
	if !a.Mask.IsValid() {
		return
	}
	p.Byte('/')
	if n := maskLen(a.Mask); n >= 0 {
		p.Uint(uint64(n))
	} else {
		p.Addr(a.Mask)
	}
}
