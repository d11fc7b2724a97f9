package manual

import (
	"strings"

	"moat/internal/rule"
	"moat/internal/text"
)

// rulePages are the pages about rules, for SEE ALSO.
var rulePages = []string{
	"iptables", "iptables-extensions", "iptables-save", "iptables-restore", "iptables-apply", "netfilter-persistent", "moat",
}

// others is rulePages without one.
func others(self string) []string {
	var list []string
	for _, name := range rulePages {
		if name != self {
			list = append(list, name)
		}
	}
	return list
}

// iptablesPage is iptables(8).
func iptablesPage() string {
	p := newPage("IPTABLES", "iptables, ip6tables", "list, check and change the packet filter and NAT rules of the kernel")
	p.section("SYNOPSIS")
	for _, s := range []string{
		"[-t table] {-A|-C|-D|-I|-R} chain [rulenum] rule-specification", "[-t table] -D chain rulenum",
		"[-t table] {-L|-S|-F|-Z} [chain [rulenum]] [options]", "[-t table] -N chain", "[-t table] -X [chain]",
		"[-t table] -P chain target", "[-t table] -E old-chain new-chain",
	} {
		p.synopsis("iptables", s)
	}
	p.section("DESCRIPTION")
	p.text(`
iptables is for IPv4, ip6tables for IPv6; all else is the same. A table holds chains, a chain is
a list of rules. A packet meets the rules of a chain in their order. The first one that it matches
and whose target ends its way decides; any other target, and a rule with none, lets it go on to
the next rule. At the end of a user-defined chain it returns to where it came from, at the end of
a built-in chain the policy decides.

rule-specification is any number of options that say which packets are meant, and -j or -g for
what happens to them. A rule with no option for packets means all of them. "!" before an option
inverts it, where the list below has [!]. Options that belong to a match follow its -m;
-p tcp, udp, icmp and others load the match of the protocol by themselves.

This is Moat. It keeps rules in the kernel's nf_tables in the form that iptables 1.8.9
(nf_tables) gives them, and the two may be mixed.`)
	p.section("TABLES")
	p.text("A table exists from the first command that changes it. Its built-in chains are:")
	for i := range rule.Layouts {
		var chains []string
		for _, c := range rule.Layouts[i].Chains {
			chains = append(chains, c.Hook.Chain())
		}
		p.item(bold(rule.Layouts[i].Table), strings.Join(chains, ", "))
	}
	p.section("TARGETS")
	for _, t := range verdicts {
		p.item(bold(t.name), t.meaning)
	}
	p.paragraph("The name of a user-defined chain is a target as well; further ones are in iptables-extensions(8).")
	p.section("COMMANDS")
	p.options(text.CommandHelp())
	p.section("OPTIONS")
	p.text("A long name may be shortened as far as it stays unambiguous; short options may be joined (-vnL).")
	p.options(text.OptionHelp())
	exitStatus(p)
	p.seeAlso(others("iptables")...)
	return p.String()
}

// verdicts are the targets that are no extensions.
var verdicts = []struct{ name, meaning string }{
	{"ACCEPT", "lets the packet through; the chains of other tables and hooks still see it"},
	{"DROP", "ends the packet, without an answer to its sender"},
	{"RETURN", "ends the chain: on after the rule that jumped here, or by the policy in a built-in chain"},
	{"QUEUE", "gives the packet to a program that listens on queue 0"},
}

// exitStatus writes the exit codes of iptables, numbered as its manual has them.
func exitStatus(p *page) {
	p.section("EXIT STATUS")
	for _, e := range []struct{ code, meaning string }{
		{"0", "done; with -C: there is such a rule"},
		{"1", "not done: no such rule, chain, target or match; the chain is there already"},
		{"2", "the command line is wrong"},
		{"3", "no such table, or the kernel lacks what it needs"},
		{"4", "the kernel refused: no permission, a chain in use, no memory"},
	} {
		p.item(bold(e.code), e.meaning)
	}
	p.paragraph("Whatever the error, nothing was changed.")
}

// savePage is iptables-save(8).
func savePage() string {
	p := newPage("IPTABLES-SAVE", "iptables-save, ip6tables-save", "print the rules in the form that iptables-restore reads")
	p.section("SYNOPSIS")
	p.synopsis("iptables-save", "[-c] [-t table] [-f filename]")
	p.synopsis("ip6tables-save", "[-c] [-t table] [-f filename]")
	p.section("DESCRIPTION")
	p.text(`
Prints all tables, or one of them, as they were at one moment: a line "*table", a line
":CHAIN POLICY [packets:bytes]" for each chain, a line for each rule as iptables takes it, and
"COMMIT". A table that iptables has no words for is named in a comment.`)
	p.section("OPTIONS")
	p.options(text.SaveOptionHelp())
	p.section("EXIT STATUS")
	p.item(bold("0"), "done")
	p.item(bold("1"), "wrong options, or the rules could not be written")
	p.item(bold("4"), "the kernel refused")
	p.seeAlso(others("iptables-save")...)
	return p.String()
}

// restorePage is iptables-restore(8).
func restorePage() string {
	p := newPage("IPTABLES-RESTORE", "iptables-restore, ip6tables-restore", "load rules from a file, all or nothing")
	p.section("SYNOPSIS")
	p.synopsis("iptables-restore", "[-chntvV] [-T table] [file]")
	p.synopsis("ip6tables-restore", "[-chntvV] [-T table] [file]")
	p.section("DESCRIPTION")
	p.text(`
Reads a file in the form of iptables-save, or standard input. The whole file is one transaction
of the kernel: a mistake in any line, which is named, leaves everything as it was, and no packet
ever sees half of it. Tables that the file does not name stay as they are; those that it names
are replaced, or added to with -n.`)
	p.section("OPTIONS")
	p.options(text.RestoreOptionHelp())
	exitStatus(p)
	p.seeAlso(others("iptables-restore")...)
	return p.String()
}
