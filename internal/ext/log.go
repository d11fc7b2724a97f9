package ext

// LOG: iptables-extensions(8), "LOG".
// UAPI: linux/netfilter/xt_LOG.h, struct xt_log_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// xtLogPrefixLen is the length of a prefix in the struct, the closing zero included.
const xtLogPrefixLen = 30

// Log writes the packet's headers to the kernel's log.
type Log struct {
	Level  uint8  // as in syslog(2), 0 to 7
	Flags  uint8  // bits of logFlags
	Prefix string // at most 29 bytes
}

var logTarget = Def{
	Name: "LOG", Kind: Target, Families: Both,
	Summary: "write the packet's headers to the kernel's log",
	Options: []Option{
		{Name: "log-level", Value: "LEVEL", Help: "level by number or name (default warning)"},
		{Name: "log-prefix", Value: "PREFIX", Help: "text before each line, up to 29 characters"},
		{Name: "log-tcp-sequence", Help: "log TCP sequence numbers"},
		{Name: "log-tcp-options", Help: "log TCP options"},
		{Name: "log-ip-options", Help: "log IP options"},
		{Name: "log-uid", Help: "log the user that owns the socket"},
		{Name: "log-macdecode", Help: "log Ethernet addresses and protocol"},
	},
	Revisions: []Revision{{Rev: 0, Size: 32}},
	New:       func(rule.Family) Ext { return &Log{Level: 4} },
}

func init() { register(&logTarget) }

// logFlags are XT_LOG_* by the ends of their options' names, in the order in which they are printed.
var logFlags = [...]struct {
	name string
	bit  uint8
}{{"tcp-sequence", 0x01}, {"tcp-options", 0x02}, {"ip-options", 0x04}, {"uid", 0x08}, {"macdecode", 0x20}}

// xtLogMask is XT_LOG_MASK: the flags that mean something.
const xtLogMask = 0x2f

// logLevels are the levels' names: as printed, as taken, and another that is taken.
var logLevels = [...]struct{ name, full, alias string }{
	{"emerg", "emerg", "panic"}, {"alert", "alert", "alert"}, {"crit", "crit", "crit"}, {"err", "error", "error"},
	{"warn", "warning", "warning"}, {"notice", "notice", "notice"}, {"info", "info", "info"}, {"debug", "debug", "debug"},
}

func (t *Log) Name() string { return "LOG" }
func (t *Log) Def() *Def    { return &logTarget }

func (t *Log) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "log-level":
		t.Level, err = a.logLevel()
	case "log-prefix":
		t.Prefix, err = a.logPrefix(xtLogPrefixLen - 1)
	}
	for _, f := range logFlags {
		if a.Option.Name[len("log-"):] == f.name {
			t.Flags |= f.bit
		}
	}
	return err
}

// logLevel reads a level by number or full name.
func (a *Arg) logLevel() (uint8, error) {
	if n, ok := ParseUint(a.Value); ok && n < uint64(len(logLevels)) {
		return uint8(n), nil
	}
	for i, l := range logLevels {
		if a.Value == l.full || a.Value == l.alias {
			return uint8(i), nil
		}
	}
	return 0, a.Errorf("takes 0-7, emerg, alert, crit, error, warning, notice, info or debug, not %q", a.Value)
}

// logPrefix reads a text of one line and cuts it to n bytes, as 1.8.9 does without a word.
func (a *Arg) logPrefix(n int) (string, error) {
	switch {
	case a.Value == "":
		return "", a.Errorf("takes a text of at least one character")
	case strings.Contains(a.Value, "\n"):
		return "", a.Errorf("takes a text without line ends")
	}
	return a.Value[:min(n, len(a.Value))], nil
}

func (t *Log) Save(p *Printer) {
	if t.Prefix != "" {
		p.OptionQuoted(false, "log-prefix", t.Prefix)
	}
	if t.Level != 4 {
		p.OptionUint(false, "log-level", uint64(t.Level))
	}
	for _, f := range logFlags {
		if t.Flags&f.bit != 0 {
			p.Option(false, "log-")
			p.Str(f.name)
		}
	}
}

func (t *Log) List(p *Printer) {
	p.Str(" LOG")
	if p.Numeric {
		p.Str(" flags ")
		p.Uint(uint64(t.Flags))
		p.Str(" level ")
		p.Uint(uint64(t.Level))
	} else {
		p.Str(" level ")
		p.Str(logLevels[t.Level&7].name)
		for _, f := range logFlags {
			if t.Flags&f.bit != 0 {
				p.Byte(' ')
				p.Str(f.name)
			}
		}
	}
	if t.Prefix != "" {
		p.Str(" prefix \"") // not quoted further, whatever is in it
		p.Str(t.Prefix)
		p.Byte('"')
	}
}

// Info writes struct xt_log_info.
func (t *Log) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(t.Level)
	w.U8(t.Flags)
	w.String(t.Prefix, xtLogPrefixLen)
}

// Read reads struct xt_log_info.
func (t *Log) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Level, t.Flags, t.Prefix = r.U8(), r.U8(), r.String(xtLogPrefixLen)
	if int(t.Level) >= len(logLevels) || t.Flags&^xtLogMask != 0 || len(t.Prefix) >= xtLogPrefixLen {
		return nft.ErrMalformed
	}
	return nil
}
