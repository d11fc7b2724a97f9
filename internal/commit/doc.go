// Package commit changes the firewall for a while, and for good only when the
// admin says that the host can still be reached. It is the logic of moat apply,
// confirm, rollback, status and history, and of iptables-apply.
//
// # The life of a change
//
// A lock keeps others out while the change is made (store.go). The journal, with
// the old rules of both families, is a folder that is filled, brought to disk and
// renamed into its place before anything changes; its texts are there twice, with
// checksums (twice.go). Then the watchdog is started
// (watchdog.go), then the change is made, and the rules that came of it go into
// the journal (journal.go). From then on the lock is free, the time runs, and
// whoever takes the lock first brings the change to its end (settle.go): confirm,
// rollback, the waiting process (wait.go), the watchdog, or the start of any
// program of Moat (finish.go). The outcome is one rename on disk; what follows
// from it (boot files, history.go) may be done twice. Where the disk does not take
// that rename any more, a file of /run says that the old rules are back (closing.go).
//
// A journal whose change was not said to be made, and whose lock is free, is that
// of a process that was killed in its middle: it is taken back at once. One of an
// earlier boot has no rules in the kernel any more, and is closed.
//
// Times are of CLOCK_BOOTTIME, which nobody can set.
//
// # The way back
//
// It asks no guard. Tables are made exactly what they were, in one transaction a
// family, but for what others changed meanwhile: see merge.go.
package commit
