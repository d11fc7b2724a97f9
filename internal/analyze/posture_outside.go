package analyze

import (
	"fmt"
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/rule"
)

// askHost takes the outside from the host's routes: the interfaces of its
// default routes. False if it has none.
func (w *world) askHost(f *host.Facts) bool {
	for i := range f.Routes {
		r := &f.Routes[i]
		if r.Prefix.Bits() != 0 || r.Prefix.Addr().Is6() != (w.s.Family == rule.IPv6) {
			continue
		}
		for _, h := range r.Hops {
			if h.Interface != "" && h.Interface != "lo" && !slices.Contains(w.outside, h.Interface) {
				w.outside = append(w.outside, h.Interface)
			}
		}
	}
	if len(w.outside) == 0 {
		return false
	}
	w.told = true
	if dev := f.Interface(w.outside[0]); dev != nil {
		for _, a := range dev.Addresses {
			if own := a.Prefix.Addr(); own.Is6() == (w.s.Family == rule.IPv6) && !own.IsLinkLocalUnicast() {
				w.own = own
				break
			}
		}
	}
	return true
}

// maxOutside is how many interfaces a claim about all of them is tried on.
const maxOutside = 8

// readRules takes the outside from the rules: those behind which addresses are
// translated. Otherwise each interface that a rule names, and one that none does.
func (w *world) readRules(a *Auditor) {
	for _, s := range a.Subjects {
		for _, name := range natInterfaces(s) {
			if !slices.Contains(w.outside, name) {
				w.outside = append(w.outside, name)
			}
		}
	}
	if w.told = len(w.outside) > 0; w.told {
		return
	}
	named := w.s.interfaceNames()
	for _, name := range named {
		if len(w.outside) < maxOutside && name != "lo" && !isInner(name) {
			w.outside = append(w.outside, name)
		}
	}
	for i := range 100 {
		if name := fmt.Sprintf("eth%d", i); !slices.Contains(named, name) {
			w.outside = append(w.outside, name)
			break
		}
	}
}

// natInterfaces are the interfaces behind which sources are translated.
func natInterfaces(s *Subject) (names []string) {
	t := s.Table("nat")
	if t == nil {
		return nil
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			switch r.Target.(type) {
			case *ext.Masquerade, *ext.SNAT:
				if name := interfaceName(r.Out.Name); !r.Out.IsAny() && !r.Out.Not && name != "lo" && !isInner(name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// interfaceNames are those that rules name, each once.
func (s *Subject) interfaceNames() (names []string) {
	seen := map[string]bool{}
	for r := range s.eachRule() {
		for _, i := range [...]rule.Interface{r.In, r.Out} {
			if name := interfaceName(i.Name); !i.IsAny() && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// isInner reports whether an interface has a name as those to containers,
// guests and tunnels have: the world does not come in by it.
func isInner(name string) bool {
	for _, begin := range [...]string{"docker", "br-", "veth", "virbr", "vnet", "cni", "flannel", "cali", "lxc", "lxd", "podman", "tun", "tap", "wg", "tailscale"} {
		if strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}
