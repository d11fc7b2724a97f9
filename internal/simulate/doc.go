// Package simulate walks one packet through a ruleset the way the kernel does:
// through the hooks of its way, at each hook through the built-in chains in the
// order of their priorities, and from there through user-defined chains, until
// something decides. It knows no kernel and no text: a ruleset and a packet go
// in, a verdict with its reasons comes out.
//
// What a packet alone does not decide is unknown. The walk then goes both ways,
// and only if both end alike is the answer certain; otherwise it is Unknown and
// says which matches it hangs on.
package simulate
