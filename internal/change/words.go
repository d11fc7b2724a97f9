package change

// The texts of refusals that scripts which drive iptables look for.
const (
	NoChain       = "No chain/target/match by that name."
	BadRule       = "Bad rule (does a matching rule exist in that chain?)."
	ChainExists   = "Chain already exists."
	FileExists    = "File exists."
	NotEmpty      = "Directory not empty."
	NotBuiltin    = "Bad built-in chain name."
	InsertTooBig  = "Index of insertion too big."
	ReplaceTooBig = "Index of replacement too big."
	DeleteTooBig  = "Index of deletion too big."
	NATDrop       = "The \"nat\" table is not intended for filtering, the use of DROP is therefore inhibited."
)

// NoTable is the refusal of a table that iptables does not have.
func NoTable(name string) string { return "table '" + name + "' does not exist" }

// NoTarget is the refusal of a jump to a chain that is not there.
func NoTarget(chain string) string { return "Chain '" + chain + "' does not exist" }

// Busy is the refusal to delete a chain that has rules, or that rules jump to.
func Busy(chain string) string {
	return "CHAIN_DEL failed (Device or resource busy): chain " + chain
}
