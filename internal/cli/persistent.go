package cli

import (
	"os"

	"moat/internal/commit"
	"moat/internal/persist"
	"moat/internal/rule"
)

// runPersistent is netfilter-persistent, for both families.
func runPersistent(env Env, _ rule.Family) int {
	if len(env.Args) > 0 && env.Args[0] == "save" && commit.IsPending("") {
		env.complain("netfilter-persistent: warning: rules are saved that wait to be confirmed; if they are taken back, save again")
	}
	return persist.Main(persist.Env{
		Program: env.Program, Args: env.Args, Environ: os.Environ(),
		Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Firewall: Firewall(env.gate()),
	})
}

// Version is Moat's own version, as "moat version" prints it.
const Version = "0.1.0"
