package analyze

import "slices"

// FindingKind is a row of the table of findings.
type FindingKind struct {
	Name     string // kebab case; never changes, since comments and configs name it
	Severity Severity
	What     string // one line: what a finding of this kind says
	// one looks at one ruleset, all at all of them together; one of both is set.
	one func(*Auditor, *Subject) []Finding
	all func(*Auditor) []Finding
}

// findings is the table of findings: the structural ones of find_*.go, then
// those about what a ruleset lets in, of posture_*.go. A finder must not refer to
// the table.
var findings = [...]FindingKind{
	{Name: "late-block", Severity: Error, What: "a rule blocks an address behind rules that have let it in already", one: findLateBlocks},
	{Name: "contradiction", Severity: Error, What: "a rule has the conditions of one before it, and the opposite verdict", one: findContradictions},
	{Name: "shadowed", Severity: Warning, What: "a rule never matches, since rules before it take all of its packets", one: findShadowed},
	{Name: "impossible", Severity: Warning, What: "a rule never matches, since there are no such packets where it stands", one: findImpossible},
	{Name: "useless", Severity: Note, What: "a rule changes nothing: without it every packet meets the same fate", one: findUseless},
	{Name: "unreached-chain", Severity: Note, What: "no packet can get into a chain: no rule that is reached jumps to it", one: findUnreachedChains},
	{Name: "empty-chain", Severity: Note, What: "a rule jumps to a chain without rules", one: findEmptyChains},
	{Name: "loop", Severity: Warning, What: "chains jump in a circle", one: findLoops},
	{Name: "no-such-interface", Severity: Warning, What: "a rule is for an interface that does not exist", one: findMissingInterfaces},
}

// Findings are the rows of all kinds of findings, in the order of the documentation.
func Findings() []FindingKind { return findings[:] }

// isFinding reports whether there are findings of this name.
func isFinding(name string) bool {
	return slices.ContainsFunc(findings[:], func(k FindingKind) bool { return k.Name == name })
}
