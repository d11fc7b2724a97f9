package ext

import "moat/internal/rule"

// EqualRules reports whether two rules say the same: as -C and -D compare,
// without regard to counters and handles.
func EqualRules(a, b *rule.Rule) bool {
	if a.Src != b.Src || a.Dst != b.Dst || !equalInterfaces(a.In, b.In) || !equalInterfaces(a.Out, b.Out) ||
		a.Proto != b.Proto || a.Fragment != b.Fragment || len(a.Matches) != len(b.Matches) {
		return false
	}
	if !equalTargets(a.Target, b.Target) {
		return false
	}
	for i := range a.Matches {
		if !Equal(a.Matches[i].(Ext), b.Matches[i].(Ext)) {
			return false
		}
	}
	return true
}

// equalInterfaces takes "+" for no condition.
func equalInterfaces(a, b rule.Interface) bool { return a == b || a.IsAny() && b.IsAny() }

func equalTargets(a, b rule.Target) bool {
	x, isExt := a.(Ext)
	y, isExtToo := b.(Ext)
	if isExt && isExtToo {
		return Equal(x, y)
	}
	return a == b
}
