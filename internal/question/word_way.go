package question

import (
	"net"
	"strings"

	"moat/internal/packet"
	"moat/internal/simulate"
)

// maxName is the longest name of an interface: IFNAMSIZ less its zero.
const maxName = 15

func isPattern(name string) bool { return strings.HasSuffix(name, "+") }

// names reads an interface; in a range also "any" and lists with patterns.
func (p *parser) names(w token) (list []string, err error) {
	v, err := p.value(w, "an interface")
	if err != nil {
		return nil, err
	}
	if v.text == "any" {
		p.any = true
		return nil, p.noAny(v)
	}
	for name := range strings.SplitSeq(v.text, ",") {
		if err := p.checkName(v, name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, p.noList(v, len(list))
}

func (p *parser) checkName(v token, name string) error {
	switch {
	case name == "" || len(name) > maxName || strings.ContainsAny(name, "/\" \t\n"):
		return v.errorf("an interface has a name of 1 to %d bytes without blanks and slashes", maxName)
	case p.single && isPattern(name):
		return v.errorf("one packet is asked for, which has one interface; a pattern with + is for moat check")
	}
	return nil
}

func (p *parser) readIn(w token) (err error) {
	p.r.In, err = p.names(w)
	return err
}

func (p *parser) readOut(w token) (err error) {
	p.r.Out, err = p.names(w)
	return err
}

func (p *parser) readHook(w token) error {
	v, err := p.value(w, "INPUT, FORWARD or OUTPUT")
	if err != nil {
		return err
	}
	for _, way := range [...]simulate.Way{simulate.In, simulate.Through, simulate.Out} {
		if strings.EqualFold(v.text, way.Hook().Chain()) {
			p.r.Way = way
			return nil
		}
	}
	return v.errorf("a packet's way is named after INPUT, FORWARD or OUTPUT")
}

func (p *parser) readMAC(w token) error {
	v, err := p.value(w, "an Ethernet address")
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(v.text)
	if err != nil || len(mac) != 6 {
		return v.errorf("an Ethernet address is written 00:11:22:aa:bb:cc")
	}
	p.packet.SrcMAC = [6]byte(mac)
	p.packet.Known |= packet.KnowMAC
	return nil
}

func (p *parser) readPktType(w token) (err error) {
	p.r.PktType, err = p.oneOf(w, "unicast, broadcast, multicast or other", func(name string) (uint32, bool) {
		for t := packet.ToHost; t <= packet.ToOther; t++ {
			if strings.EqualFold(name, t.String()) {
				return uint32(t), true
			}
		}
		return 0, false
	})
	return err
}

// bridgePort reads a bridge port or "none".
func (p *parser) bridgePort(w token) (string, error) {
	v, err := p.value(w, "a bridge port")
	if err != nil {
		return "", err
	}
	p.packet.Known |= packet.KnowPhysical
	if v.text == "none" {
		return "", nil
	}
	return v.text, p.checkName(v, v.text)
}

func (p *parser) readPhysIn(w token) (err error) {
	p.packet.PhysIn, err = p.bridgePort(w)
	return err
}

func (p *parser) readPhysOut(w token) (err error) {
	p.packet.PhysOut, err = p.bridgePort(w)
	return err
}

// account reads a user or group by number or name.
func (p *parser) account(w token, what string, byName func(string) (uint32, bool)) (uint32, error) {
	v, err := p.value(w, what)
	if err != nil {
		return 0, err
	}
	if n, ok := number(v.text, 1<<32-1); ok {
		return n, nil
	}
	if n, ok := byName(v.text); ok {
		return n, nil
	}
	return 0, v.errorf("%s by number or name is asked for", what)
}

func (p *parser) readUID(w token) (err error) {
	p.packet.SocketUID, err = p.account(w, "a user", p.options.Names.User)
	p.packet.Known |= packet.KnowOwner
	return err
}

func (p *parser) readGID(w token) (err error) {
	p.packet.SocketGID, err = p.account(w, "a group", p.options.Names.UserGroup)
	p.packet.Known |= packet.KnowOwner
	return err
}

func (p *parser) readRealm(w token) (err error) {
	p.packet.RouteRealm, err = p.account(w, "a realm", p.options.Names.Realm)
	p.packet.Known |= packet.KnowRealm
	return err
}

func (p *parser) readCPU(w token) (err error) {
	p.packet.CPU, err = p.uint(w, 1<<32-1)
	p.packet.Known |= packet.KnowCPU
	return err
}

func (p *parser) readCgroup(w token) error {
	v, err := p.value(w, "a path")
	if err == nil && v.text == "" {
		err = v.errorf("a control group has a path, as in user.slice/user-1000.slice")
	}
	p.packet.CgroupPath = v.text
	p.packet.Known |= packet.KnowCgroup
	return err
}
