package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"moat/internal/rule"
	"moat/internal/text"
)

// xmlUsage is what iptables-xml -h prints on standard error.
const xmlUsage = `Usage: iptables-xml [-c] [-v] [-h]
          [--combine ]
	   [ --verbose ]
	   [ --help ]
`

// runXML is iptables-xml: it turns the save format on standard input, or in the
// file named, into XML, line by line and without asking the kernel.
func runXML(env Env, _ rule.Family) int {
	x := xmlWriter{out: bufio.NewWriter(env.Stdout)}
	var files []string
	for _, arg := range env.Args {
		switch {
		case !strings.HasPrefix(arg, "-") || arg == "-":
			files = append(files, arg)
		case !x.setOption(env, arg):
			env.Stderr.Write([]byte(xmlUsage))
			return text.CodeFailed
		}
	}
	if len(files) > 1 {
		env.complain("Unknown arguments found on commandline")
		return text.CodeFailed
	}
	data, err := env.input("iptables-xml", strings.Join(files, ""))
	if err != nil {
		return env.fail("iptables-xml", err)
	}
	err = x.document(data)
	if flushed := x.out.Flush(); err == nil && flushed != nil {
		err = &text.Error{Program: "iptables-xml", Code: text.CodeFailed, Msg: "cannot write: " + flushed.Error(), Err: flushed}
	}
	if err != nil {
		return env.fail("iptables-xml", err)
	}
	return 0
}

// setOption takes one option; false for a request for help. What is not known is
// only complained of, as Debian's program does.
func (x *xmlWriter) setOption(env Env, arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		switch {
		case name != "" && strings.HasPrefix("combine", name):
			x.combine = true
		case name != "" && strings.HasPrefix("verbose", name):
			x.verbose = true
		case name != "" && strings.HasPrefix("help", name):
			return false
		case name != "":
			env.complain("iptables-xml: unrecognized option '" + arg + "'")
		}
		return true
	}
	for _, c := range arg[1:] {
		switch c {
		case 'c':
			x.combine = true
		case 'v':
			x.verbose = true
		case 'h':
			return false
		default:
			env.complain("iptables-xml: invalid option -- '" + string(c) + "'")
		}
	}
	return true
}

// xmlWriter writes a ruleset as XML.
type xmlWriter struct {
	out              *bufio.Writer
	combine, verbose bool

	line   int // number of the line that is being read
	table  bool
	chains []*xmlChain // of the table, in the order of their declaration
	chain  *xmlChain   // whose element is open
	open   bool        // the rule's element is open
	last   []xmlWord   // conditions of the open rule
	ended  bool        // nothing can be combined with the open rule
}

// xmlChain is a chain as it was declared.
type xmlChain struct {
	name, policy   string // the policy is "" for a user's chain
	packets, bytes uint64
	written        bool
}

// document writes the XML of a text in save format.
func (x *xmlWriter) document(data []byte) error {
	if x.verbose {
		x.print("xptables-xml\n") // so does Debian's program
	}
	x.print("<iptables-rules version=\"1.0\">\n")
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		x.line++
		if err := x.takeLine(string(line)); err != nil {
			return err
		}
	}
	if x.table {
		return x.failed(fmt.Sprintf("COMMIT expected at line %d", x.line+1))
	}
	x.print("</iptables-rules>\n")
	return nil
}

func (x *xmlWriter) takeLine(line string) error {
	switch {
	case line == "":
		return nil
	case line[0] == '#':
		x.comment("", line)
		return nil
	}
	if x.verbose {
		x.comment("line "+strconv.Itoa(x.line)+" ", line)
	}
	switch {
	case line[0] == '*':
		return x.openTable(line[1:])
	case !x.table:
		return x.failed(fmt.Sprintf("line %d failed", x.line))
	case line == "COMMIT":
		x.closeTable()
	case line[0] == ':':
		return x.declare(line[1:])
	default:
		return x.rule(line)
	}
	return nil
}

// openTable begins a table; one that was not committed ends there.
func (x *xmlWriter) openTable(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return x.invalid("table name invalid")
	}
	if x.table {
		x.closeTable()
	}
	x.table = true
	x.print("  <table name=\"", xmlText(words[0]), "\" >\n")
	return nil
}

// closeTable ends a table. Chains without rules stand at its end.
func (x *xmlWriter) closeTable() {
	x.closeChain()
	for _, c := range x.chains {
		if !c.written {
			x.printChain(c, "/>")
		}
	}
	x.print("  </table>\n")
	x.table, x.chains = false, nil
}

// declare reads a chain's line: its name, policy and counters.
func (x *xmlWriter) declare(line string) error {
	words := strings.Fields(line)
	switch len(words) {
	case 0:
		return x.invalid("chain name invalid")
	case 1:
		return x.invalid("policy invalid")
	}
	c := &xmlChain{name: words[0]}
	if words[1] != "-" {
		c.policy = words[1]
	}
	if len(words) > 2 {
		packets, bytes, _ := strings.Cut(strings.Trim(words[2], "[]"), ":")
		c.packets, _ = strconv.ParseUint(packets, 10, 64) // as Debian's program: what is no number counts nothing
		c.bytes, _ = strconv.ParseUint(bytes, 10, 64)
	}
	x.chains = append(x.chains, c)
	return nil
}

// find gives the chain of a name; nil if none was declared in this table.
func (x *xmlWriter) find(name string) *xmlChain {
	for _, c := range x.chains {
		if c.name == name {
			return c
		}
	}
	return nil
}

// printChain opens a chain's element; end is ">" or, for an empty one, "/>".
func (x *xmlWriter) printChain(c *xmlChain, end string) {
	x.print("    <chain name=\"", xmlText(c.name), "\"")
	if c.policy != "" {
		x.print(" policy=\"", xmlText(c.policy), "\"")
	}
	x.print(fmt.Sprintf(" packet-count=\"%d\" byte-count=\"%d\" %s\n", c.packets, c.bytes, end))
	c.written = true
}

// closeChain ends the chain that is open, if any.
func (x *xmlWriter) closeChain() {
	x.closeRule()
	if x.chain != nil {
		x.print("    </chain>\n")
		x.chain = nil
	}
}

// comment writes a line as a comment. So that no two hyphens stand together, each
// gets a star before it, and every second one a blank too.
func (x *xmlWriter) comment(before, line string) {
	x.print("<!-- ", before)
	second := false
	for _, c := range []byte(line) {
		if c == '-' {
			if second {
				x.print(" ")
			}
			x.print("*")
			second = !second
		}
		x.out.WriteByte(c)
	}
	x.print(" -->\n")
}

// print writes to the buffer, which keeps the first error for Flush.
func (x *xmlWriter) print(words ...string) {
	for _, w := range words {
		x.out.WriteString(w)
	}
}

// failed is an error in the words of Debian's program, with exit code 1.
func (x *xmlWriter) failed(msg string) error {
	return &text.Error{Program: "iptables-xml", Code: text.CodeFailed, Form: text.Named, Msg: msg}
}

// invalid is an error in a line that begins a table or a chain.
func (x *xmlWriter) invalid(what string) error {
	return &text.Error{
		Program: "iptables-xml", Code: text.CodeParameter, Form: text.Named,
		Msg:  fmt.Sprintf("line %d %s\nError occurred at line: %d", x.line, what, x.line),
		Hint: "Try `iptables-xml -h' or 'iptables-xml --help' for more information.",
	}
}

// xmlText escapes what means something in XML.
func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
