// Package tree has tests only, of what holds of the source tree as a whole:
// imports go one way, start-up stays cheap, and the binary is static.
package tree
