// Package nft is Moat's own nf_tables codec over a plain netlink socket. It
// knows tables, chains, rules, sets, elements, expressions and generations; it
// knows nothing of iptables, and imports nothing of Moat, so that extensions
// can say their kernel form in its words.
//
// Sources: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h,
// linux/netfilter/nf_tables_compat.h, linux/netlink.h (UAPI).
package nft

import "errors"

// ErrMalformed is returned when bytes are not what their type says.
var ErrMalformed = errors.New("malformed netlink data")
