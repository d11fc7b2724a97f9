package cli

import (
	"io"
	"os"
	"strings"

	"moat/internal/kernel"
	"moat/internal/rule"
)

// Env is what a program is given by its caller.
type Env struct {
	Program string   // the name it was called by, without folders
	Args    []string // without the program's own name
	Stdin   *os.File
	Stdout  io.Writer
	Stderr  io.Writer
}

// gate is what changes of this program have to pass.
func (env Env) gate() kernel.Gate { return Guarded(env.Stderr) }

// Program is one of the drop-in programs.
type Program struct {
	Name string // the name without "-nft"
	run  func(Env, rule.Family) int
	// Family is the address family it is for; 0 for both.
	Family rule.Family
}

// Run runs the program and gives its exit code.
func (p *Program) Run(env Env) int { return p.run(env, p.Family) }

// Programs are the drop-in programs by name.
var Programs = [...]Program{
	{"iptables", runCommand, rule.IPv4},
	{"ip6tables", runCommand, rule.IPv6},
	{"iptables-save", runSave, rule.IPv4},
	{"ip6tables-save", runSave, rule.IPv6},
	{"iptables-restore", runRestore, rule.IPv4},
	{"ip6tables-restore", runRestore, rule.IPv6},
	{"iptables-apply", runApply, rule.IPv4},
	{"ip6tables-apply", runApply, rule.IPv6},
	{"iptables-xml", runXML, 0},
	{"netfilter-persistent", runPersistent, 0},
}

// Multi is the name under which the first argument names the program, as with
// Debian's binary.
const Multi = "xtables-nft-multi"

// Find gives the program that a name means, with or without "-nft" as Debian
// has it ("iptables-nft-save"); nil if there is none.
func Find(name string) *Program {
	plain := strings.Replace(name, "tables-nft", "tables", 1)
	for i := range Programs {
		if Programs[i].Name == plain {
			return &Programs[i]
		}
	}
	return nil
}
