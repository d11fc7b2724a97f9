package persist

import (
	"fmt"
	"io"
	"time"

	"moat/internal/syslog"
)

// Env is the world that Main sees. Root, Stdin and Environ may be left out.
type Env struct {
	Program  string    // as called (argv[0]); usage shows it, messages its last part
	Args     []string  // without the program's name
	Root     string    // put before every path: "" is the machine, a folder is a test
	Environ  []string  // NAME=value, as os.Environ gives it
	Stdin    io.Reader // for plugins; nil is /dev/null
	Stdout   io.Writer
	Stderr   io.Writer
	Firewall Firewall
}

// action is what plugins are told. Source: netfilter-persistent(8), PLUGINS.
type action string

const (
	actionStart action = "start"
	actionSave  action = "save"
	actionFlush action = "flush"
)

// Exit codes; the package comment says what they mean.
const (
	ExitDone     = 0
	ExitFailed   = 1
	ExitFellBack = 2
)

// run is one call of the program.
type run struct {
	program  string // as the admin typed it
	root     string
	environ  []string
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	firewall Firewall
	settings settings
	report   *reporter
	writer   Writer
}

// Main is netfilter-persistent: it does what Args[0] says and gives the exit
// code. Words after it are ignored, and an unknown one shows the usage and
// exits 0, as with Debian's program 1.0.20.
func Main(env Env) int {
	return newRun(env).main(env.Args)
}

func newRun(env Env) *run {
	r := &run{
		program: env.Program, root: env.Root, environ: env.Environ,
		stdin: env.Stdin, stdout: env.Stdout, stderr: env.Stderr, firewall: env.Firewall,
	}
	r.report = &reporter{program: "netfilter-persistent", stderr: env.Stderr, now: time.Now}
	if !isJournal(env.Stderr, env.Environ) {
		r.report.socket = env.Root + syslog.Socket
	}
	return r
}

func (r *run) main(args []string) int {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "start", "restart", "reload":
		// A restart does not flush first, whatever FLUSH_ON_STOP says:
		// between flush and load the host would stand open.
		return r.all(actionStart, r.readSettings())
	case "save":
		return r.all(actionSave, r.readSettings())
	case "flush":
		return r.all(actionFlush, r.readSettings())
	case "stop":
		return r.stop(r.readSettings())
	default:
		fmt.Fprintf(r.stdout, "Usage: %s (start|stop|restart|reload|flush|save)\n", r.program)
		return ExitDone
	}
}

// stop flushes if the settings want it; else the rules stay: a host that goes
// down is guarded to the end.
func (r *run) stop(code int) int {
	wanted, err := r.settings.flushOnStop()
	if err != nil {
		r.report.warn("%v", err)
	}
	if !wanted {
		fmt.Fprintf(r.stdout, "Automatic flush disabled; use '%s flush'\n", r.program)
		return code
	}
	return r.all(actionFlush, code)
}

// all takes every plugin through one action, whatever becomes of the others,
// and gives the exit code of the whole. code is that of reading the settings.
func (r *run) all(a action, code int) int {
	if code != ExitDone && a == actionSave {
		r.report.fail("nothing saved: the settings may forbid it")
		return code
	}
	list, trouble := r.plugins()
	for _, err := range trouble {
		r.report.fail("plugin: %v", err)
		code = ExitFailed
	}
	for _, p := range list {
		code = worse(code, r.one(a, p))
	}
	return code
}

func (r *run) one(a action, p plugin) outcome {
	if p.isNative {
		return r.family(a, p.family)
	}
	return r.external(a, p)
}

// readSettings gives ExitFailed, after a message, for settings that cannot be
// read. Loading goes on with the defaults: an open host would be worse.
func (r *run) readSettings() int {
	var err error
	r.settings, err = readSettings(r.root+"/etc/default/netfilter-persistent", r.environ)
	if err != nil {
		r.report.fail("%v", err)
		return ExitFailed
	}
	return ExitDone
}

// worse joins an exit code with what became of one more plugin.
func worse(code int, o outcome) int {
	switch {
	case o == didFail || code == ExitFailed:
		return ExitFailed
	case o == fellBack:
		return ExitFellBack
	}
	return code
}
