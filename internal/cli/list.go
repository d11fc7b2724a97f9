package cli

import (
	"errors"
	"fmt"

	"moat/internal/ext"
	"moat/internal/kernel"
	"moat/internal/kernel/nft"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

// list is -L and -S. It prints when all was read in one piece, or nothing.
func (env Env) list(k *kernel.Kernel, cmd *text.Command, names *netdb.DB) error {
	collectSeldom()
	var out []byte
	err := k.Consistently(func() (err error) {
		out, err = render(k, cmd, names)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := env.Stdout.Write(out); err != nil {
		return &text.Error{Program: cmd.Family.Program(), Code: text.CodeFailed, Msg: "cannot write the listing: " + err.Error(), Err: err}
	}
	env.warnLegacy(cmd.Family)
	return nil
}

// render prints a table, a chain or a rule.
func render(k *kernel.Kernel, cmd *text.Command, names *netdb.DB) ([]byte, error) {
	v, err := k.View(cmd.Family, cmd.Table)
	if err != nil {
		return nil, err
	}
	chains := v.Chains
	if name := cmd.List.Chain; name != "" {
		h := v.Chain(name)
		if h == nil {
			return nil, incompatible(cmd, name)
		}
		chains = []*kernel.Head{h}
	}
	var out []byte
	if v.Foreign {
		out = text.AppendForeignChains(out, cmd.Table)
	}
	if cmd.List.Rules {
		out, err = renderRules(out, v, chains, cmd, names)
	} else {
		out, err = renderColumns(out, v, chains, cmd, names)
	}
	if errors.Is(err, kernel.ErrIncompatible) {
		err = incompatible(cmd, cmd.List.Chain)
	}
	return out, err
}

// incompatible is iptables' answer to what it cannot show.
func incompatible(cmd *text.Command, chain string) error {
	msg := fmt.Sprintf("table `%s' is incompatible, use 'nft' tool.", cmd.Table)
	if chain != "" {
		msg = fmt.Sprintf("chain `%s' in %s", chain, msg)
	}
	return &text.Error{Program: cmd.Family.Program(), Code: text.CodeFailed, Msg: msg}
}

// renderRules prints chains and rules as commands: -S.
func renderRules(out []byte, v *kernel.View, chains []*kernel.Head, cmd *text.Command, names *netdb.DB) ([]byte, error) {
	p := &ext.Printer{B: out, Family: cmd.Family, Numeric: true, Names: names}
	style := text.NoCounters
	if cmd.Verbose > 0 {
		style = text.OptionCounters
	}
	if cmd.List.Num == 0 {
		for _, h := range chains {
			p.B = text.AppendSpecChain(p.B, &h.Chain, cmd.Verbose > 0)
		}
	}
	for _, h := range chains {
		err := eachNumbered(v, h, cmd.List.Num, func(_ int, r *rule.Rule) {
			text.AppendRule(p, h.Name, r, style)
		})
		if err != nil {
			return nil, err
		}
	}
	return p.B, nil
}

// renderColumns prints chains in columns: -L. The head of a user-defined chain
// says how often it is jumped to, which is known when its rules were counted.
func renderColumns(out []byte, v *kernel.View, chains []*kernel.Head, cmd *text.Command, names *netdb.DB) ([]byte, error) {
	l := text.NewLister(cmd.Family, names, text.ListOptions{
		Verbose: cmd.Verbose, Numeric: cmd.Numeric, Exact: cmd.Exact, LineNumbers: cmd.LineNumbers,
	})
	for _, h := range chains {
		l.P.B = nil
		rules := 0
		err := eachNumbered(v, h, cmd.List.Num, func(n int, r *rule.Rule) {
			rules++
			l.Rule(n, r)
		})
		if err != nil {
			return nil, err
		}
		lines := l.P.B
		if cmd.List.Num == 0 {
			l.P.B = out
			l.Head(&h.Chain, int(h.Use)-rules)
			out = l.P.B
		}
		out = append(out, lines...)
	}
	return out, nil
}

// eachNumbered gives the rules of a chain with their numbers from 1, or only
// rule number only.
func eachNumbered(v *kernel.View, h *kernel.Head, only int, f func(int, *rule.Rule)) error {
	n := 0
	return v.EachRule(h, func(r *rule.Rule) error {
		n++
		if only == 0 || n == only {
			f(n, r)
		}
		if n == only {
			return nft.ErrStop
		}
		return nil
	})
}
