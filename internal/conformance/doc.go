// Package conformance holds Moat against Debian's iptables-nft 1.8.9, command by command.
//
// It has tests only. Each case runs twice, by Debian's programs and by Moat's, in two network namespaces that begin alike;
// then exit codes, standard output and the kernel's tables, chains and rules must be the same, the latter attribute by attribute
// (the bytes of xt matches and targets included, which nft does not show). Standard error is compared in part: either both
// programs print something or neither does, and the texts that scripts look for (see scriptTexts) must be in both.
//
// # Case files
//
// testdata/*.rules holds rule specifications, one a line. Every line is appended to a chain by both programs; a rule that is
// accepted is then listed, and deleted by the program that did not write it. To start a program costs more than all that it does, so
// accepted lines are compared many at a time, and but for a sample Moat's programs run within the test (see together and ran). A line that iptables refuses begins
// with "bad: "; a line whose mark disagrees with what Debian's program does fails, so that no line rots. Directives:
//
//	programs: iptables ip6tables     which programs run the lines that follow
//	chain: nat PREROUTING            table and chain that the lines that follow are appended to
//	setup: iptables -N user          a command that prepares both namespaces, before each line; none after "setup:" clears
//
// testdata/*.cmds holds cases of several commands, separated by blank lines, in the syntax of the shell (quotes, backslash,
// << 'END' documents; nothing else). After "mode: lines" every line is a case of its own; "mode: blocks" ends that.
// "setup:" works as above. A command that begins with "debian: " is run with Debian's program on both sides, so that what
// one program wrote is read by the other; nft is always the system's.
//
// With -v a run is a transcript: every command with the exit code and the text of Debian's program.
//
// # Environment
//
// MOAT_CONFORMANCE_PROGRAM names a binary to hold against Debian's instead of one built from cmd/moat. Given Debian's own
// xtables-nft-multi every comparison of case files must pass, which shows that the suite itself is steady.
//
// MOAT_CONFORMANCE_EACH=1 runs every line by itself with all cross-checks, which takes some ten times as long.
package conformance
