// Package load gives a ruleset to whatever asks about one: from a file in the
// format of iptables-save(8), without rights and without a kernel's help, or
// from the kernel of this network namespace.
package load
