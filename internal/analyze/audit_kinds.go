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
	{Name: "nat-dropped", Severity: Warning, What: "a rule of table nat changes the destination of packets that the filter then drops", one: findDroppedNAT},
	{Name: "unreached-chain", Severity: Note, What: "no packet can get into a chain: no rule that is reached jumps to it", one: findUnreachedChains},
	{Name: "empty-chain", Severity: Note, What: "a rule jumps to a chain without rules", one: findEmptyChains},
	{Name: "loop", Severity: Warning, What: "chains jump in a circle", one: findLoops},
	{Name: "no-such-interface", Severity: Warning, What: "a rule is for an interface that does not exist", one: findMissingInterfaces},
	{Name: "policy-accept", Severity: Warning, What: "a policy ACCEPT with nothing behind it: new connections get in that no rule speaks of", one: findOpenPolicies},
	{Name: "no-loopback", Severity: Warning, What: "the host's packets to itself are dropped", one: findNoLoopback},
	{Name: "no-established", Severity: Warning, What: "answers are dropped: those to the host's own connections, or those of its services", one: findNoEstablished},
	{Name: "new-unneeded", Severity: Warning, What: "a rule lets new connections in without need", one: findNeedlessNew},
	{Name: "related-wide", Severity: Note, What: "a helper of connection tracking may open any port, since RELATED is let in without a condition", one: findWideRelated},
	{Name: "family-gap", Severity: Warning, What: "one of IPv4 and IPv6 lets in what the other drops", all: findFamilyGaps},
	{Name: "open-service", Severity: Warning, What: "a port of a database, a cache, a container engine, a queue or a remote desktop is open to the world", one: findOpenServices},
	{Name: "docker-past-input", Severity: Warning, What: "Docker publishes a port to the world that INPUT drops", one: findPublished},
	{Name: "log-without-limit", Severity: Warning, What: "a rule logs all packets that anybody sends", one: findUnlimitedLogs},
	{Name: "spoofed", Severity: Warning, What: "a rule trusts a loopback or private source also where the world comes in", one: findSpoofed},
	{Name: "icmpv6-needed", Severity: Warning, What: "ICMPv6 is dropped that IPv6 cannot live without", one: findNeededICMPv6},
	{Name: "icmp-needed", Severity: Warning, What: "ICMP is dropped that tells of packets too large for the path", one: findDroppedErrors},
	{Name: "legacy-in-force", Severity: Error, What: "rules of iptables-legacy are in force beside those of nf_tables", all: findLegacy},
}

// Findings are the rows of all kinds of findings, in the order of the documentation.
func Findings() []FindingKind { return findings[:] }

// isFinding reports whether there are findings of this name.
func isFinding(name string) bool {
	return slices.ContainsFunc(findings[:], func(k FindingKind) bool { return k.Name == name })
}
