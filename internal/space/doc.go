// Package space is sets of packets as values: what a rule matches, what is left
// behind it, what two rulesets do differently. It does no I/O, knows no
// extension and imports only the model and packet.
//
// A packet is a point: a value in each dimension (source, destination port,
// state …) and an answer to each atom, a condition that is not a set of values.
// A Box is a product: a set of values in each dimension, nil for all of them,
// and literals, which are atoms with a sign. A Set is boxes that have no packet
// in common.
package space
