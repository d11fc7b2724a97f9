// Package text is the language of iptables: it reads command lines and the save
// format, and prints rules, listings and help. It is pure: bytes in, values out,
// or the other way round; what touches a kernel is elsewhere.
package text
