// Package judge holds the simulator to the kernel: random rulesets and random
// packets go through a real one, and the verdict on every packet, what became
// of it, and the counter of every rule and policy have to be what the
// simulator said. It has tests only.
//
// The host under test has a few interfaces and rules of the tests' own at the
// very end of its hooks, which write down what came so far and drop it: no
// packet is answered or leaves, and none is confirmed, so that each begins a
// connection of its own. Connections that exist are put there by ctnetlink.
//
//	go test ./internal/judge -judge.rulesets=20000 -judge.seed=7
//
// judges more than the suite does. A disagreement is printed as commands that
// can be pasted, with the rules taken out that it does not need.
package judge
