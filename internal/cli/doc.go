// Package cli holds the drop-in programs: iptables, ip6tables, their save,
// restore and apply programs, and netfilter-persistent. Each parses its
// arguments with package text, calls package kernel once, prints, and gives the
// exit code; what it decides beyond that is how errors are worded.
//
// Start-up is part of the product: nothing here or below runs in init but
// appending extensions to a list.
package cli
