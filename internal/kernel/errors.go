package kernel

import (
	"errors"

	"moat/internal/change"
	"moat/internal/kernel/nft"
)

// Exit statuses of iptables(8), "DIAGNOSTICS".
const (
	ExitOther     = 1
	ExitParameter = 2
	ExitVersion   = 3
	ExitResource  = 4
)

// Error says why a change was not made, in the words that programs which drive
// iptables look for. Nothing was changed.
type Error struct {
	Code int    // exit status
	Msg  string // one line
	// Short says that the line follows the bare program name ("iptables: …").
	Short bool
	// Failed says that the kernel refused: the text is "NAME failed (…): …".
	Failed bool
	Op     *change.Op // the operation at fault; nil if none
	Err    error      // the cause; nil if none
}

// Error is the line without the program's name.
func (e *Error) Error() string { return e.Msg }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// The texts of iptables that scripts look for.
const (
	msgNoChain     = change.NoChain
	msgBadRule     = change.BadRule
	msgChainExists = change.ChainExists
	msgFileExists  = change.FileExists
	msgNotEmpty    = change.NotEmpty
	msgBuiltin     = change.NotBuiltin
)

// fail is a refusal with exit status 1 and a text of iptables.
func fail(op *change.Op, msg string) error {
	return &Error{Code: ExitOther, Msg: msg, Short: true, Op: op}
}

// noTarget is the refusal of a rule that jumps to a chain that is not there.
func noTarget(op *change.Op, chain string) error {
	return &Error{Code: ExitParameter, Msg: change.NoTarget(chain), Op: op}
}

// permission gives missing rights the words and exit status of iptables, and
// leaves other errors alone.
func permission(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if nft.IsPermission(err) && !errors.As(err, &e) {
		return &Error{Code: ExitResource, Msg: "Could not fetch rule set generation id: Permission denied (you must be root)", Err: err}
	}
	return err
}

// isRace asks whether another writer came between.
func isRace(err error) bool { return nft.IsStale(err) || errors.Is(err, nft.ErrInterrupted) }

// verb names an operation in "NAME failed (…)", as iptables-nft does.
func verb(op *change.Op) (name, what string) {
	switch op.Kind {
	case change.Append:
		return "RULE_APPEND", "rule in chain " + op.Chain
	case change.Insert:
		return "RULE_INSERT", "rule in chain " + op.Chain
	case change.Replace:
		return "RULE_REPLACE", "rule in chain " + op.Chain
	case change.Delete, change.DeleteNum:
		return "RULE_DELETE", "rule in chain " + op.Chain
	case change.Flush:
		return "RULE_FLUSH", "chain " + op.Chain
	case change.Zero:
		return "CHAIN_ZERO", "chain " + op.Chain
	case change.NewChain, change.DeclareChain:
		return "CHAIN_USER_ADD", "chain " + op.Chain
	case change.DeleteChain:
		if op.Chain == "" { // -X of all: which one, the caller has said if it was known
			return "CHAIN_DEL", "chains of table " + op.Table
		}
		return "CHAIN_DEL", "chain " + op.Chain
	case change.SetPolicy:
		return "CHAIN_UPDATE", "chain " + op.Chain
	case change.Rename:
		return "CHAIN_RENAME", "chain " + op.NewName
	}
	return "TABLE_ADD", "table " + op.Table
}
