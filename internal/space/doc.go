// Package space is sets of packets as values: what a rule matches, what is left
// behind it, what two rulesets do differently. It does no I/O, knows no
// extension and imports only the model and packet.
//
// A packet is a point: a value in each dimension (source, destination port,
// state …) and an answer to each atom, a condition that is not a set of values.
// A Box is a product: a set of values in each dimension, nil for all of them,
// and literals, which are atoms with a sign. A Set is boxes that have no packet
// in common. Of a later fragment, the ports and flags are what it has in their
// place, where nf_tables looks for them.
//
// Some boxes hold no packet that exists, and are not known to be empty: names of
// interfaces with bytes that no name has, ports of a protocol without ports, and
// a masked comparison (an atom) beside a set of more than 64 values.
//
// # Why boxes
//
// First-match semantics makes holes, and holes are what a set of values in each
// dimension holds best: ten thousand "-s ADDRESS -j DROP" leave one box. What
// differs from a box in one dimension is cut out of it at once (Box.Subtract), and
// boxes that are alike but for one dimension are joined before (Pile). Measured on
// n rules of mixed shape (BenchmarkFirstMatch: addresses, ports, both, networks
// within networks, a last one that takes all), to find what each rule takes:
//
//	                              1,000 rules        10,000 rules
//	ports out of                  20      60,000     20       60,000
//	boxes, with Pile              8 ms    19 ms      0.24 s   1.5 s
//	boxes, one by one             37 ms   52 ms      6.1 s    8.9 s
//	interval decision diagram     88 ms   4.5 s      5.9 s    more than 7 GB
//
// The diagram (levels source, protocol, port; nodes shared by hash, operations
// memoized) is a function of the first dimension: a rule for a port alone changes
// the child of each of thousands of intervals of addresses, so that 1,000
// rules already make 16 million edges. Its other orders fail on the rules of the
// other shape. It stayed an experiment.
//
// # Why sorted intervals
//
// A set of values is a sorted slice of intervals, 8 bytes each for up to 32
// bits and 32 for IPv6 addresses and names, or 256 bits for a byte. Against a
// persistent treap, for a set with 10,000 holes in 2^32:
//
//	                   slice     treap
//	10,000 holes       0.3 s     0.08 s
//	look up a value    103 ns    224 ns
//	pass over all      21 µs     189 µs
//	memory             80 KB     400 KB
//
// The treap wins only where holes come one at a time, and there Pile collects
// them first. What is done most, to ask whether sets meet and to cut them, is looking
// up and passing over. Operations of a small set and a large one look the few
// up and copy the rest in one piece.
package space
