package guard

import (
	"slices"
	"strings"

	"moat/internal/change"
)

// builders are programs that take their own chains down, one command after the
// other and each of them alone a lockout, before they set the policies to ACCEPT
// or build the chains anew: "ufw disable" and "ufw reload" flush ufw-user-input
// under policy DROP. Such a step of theirs is not judged. All else that they do
// is, such as the policy that they set.
var builders = [...]struct {
	program string // comm of an ancestor
	chains  string // what the names of its chains begin with
}{
	{"ufw", "ufw"},
	{"ufw-init", "ufw"},
}

// isTransient reports whether a script only empties chains of a program that is
// taking them down right now.
func (g *Guard) isTransient(s *change.Script) bool {
	var ancestors []string
	for _, b := range builders {
		theirs := func(op change.Op) bool {
			return (op.Kind == change.Flush || op.Kind == change.Zero || op.Kind == change.DeleteChain) && strings.HasPrefix(op.Chain, b.chains)
		}
		if slices.ContainsFunc(s.Ops, func(op change.Op) bool { return !theirs(op) }) {
			continue
		}
		if ancestors == nil {
			ancestors = g.caller.Ancestors()
		}
		if slices.Contains(ancestors, b.program) {
			return true
		}
	}
	return false
}
