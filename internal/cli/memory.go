package cli

import "runtime/debug"

// collectSeldom lets the heap grow to five times what is in use, and at least
// 16 MiB, before memory is collected: a program that reads or writes a whole
// ruleset keeps most of what it makes until it ends.
func collectSeldom() { debug.SetGCPercent(400) }
