package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"moat/internal/rule"
)

// pluginDir holds the plugins. Source: netfilter-persistent(8).
const pluginDir = "/usr/share/netfilter-persistent/plugins.d"

// native lists the plugins of iptables-persistent that this package is, by the
// name under which they have their place in the order.
var native = []struct {
	name   string
	family rule.Family
}{
	{"15-ip4tables", rule.IPv4},
	{"25-ip6tables", rule.IPv6},
}

// plugin is one station of a run: a program, or a family that we do ourselves.
type plugin struct {
	name     string
	path     string // of the program; not used when isNative
	isNative bool
	family   rule.Family
}

// plugins gives the stations of a run in run-parts(8)'s order: by the bytes of
// their names; only executable files whose names are letters, digits, _ and -.
// A native plugin is there even if no file is, but a file that is not
// executable turns it off: so admins switch plugins off. trouble holds what
// could not be looked at.
func (r *run) plugins() (list []plugin, trouble []error) {
	dir := r.root + pluginDir
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		trouble = append(trouble, err)
	}
	off := make([]string, 0, len(native))
	for _, e := range entries {
		if !isPluginName(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		switch {
		case err != nil:
			trouble = append(trouble, err)
		case info.Mode().IsRegular() && info.Mode().Perm()&0o111 == 0:
			off = append(off, e.Name())
		case info.Mode().IsRegular() && !isNative(e.Name()):
			list = append(list, plugin{name: e.Name(), path: path})
		}
	}
	for _, n := range native {
		if !slices.Contains(off, n.name) {
			list = append(list, plugin{name: n.name, isNative: true, family: n.family})
		}
	}
	slices.SortFunc(list, func(a, b plugin) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	return list, trouble
}

func isNative(name string) bool {
	for _, n := range native {
		if n.name == name {
			return true
		}
	}
	return false
}

// isPluginName is run-parts(8)'s default rule for names.
func isPluginName(s string) bool {
	for _, c := range []byte(s) {
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !isLetter && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// external runs a plugin program with the action as its only argument, our
// environment, folder and streams: as run-parts does for Debian's program.
func (r *run) external(a action, p plugin) outcome {
	r.report.info("executing %s %s", p.path, a)
	cmd := exec.Command(p.path, string(a))
	cmd.Env = r.pluginEnviron()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.stdin, r.stdout, r.stderr
	err := cmd.Run()
	if err == nil {
		return done
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		r.report.fail("%s %s: %v", p.path, a, exit)
	} else {
		r.report.fail("%s not run: %v", p.path, err)
	}
	return didFail
}

// pluginEnviron is the environment of the run; a setting that was in it has the
// settings file's value, since the shell that read the file would pass that on.
func (r *run) pluginEnviron() []string {
	env := slices.Clone(r.environ)
	for _, name := range settingNames {
		if _, isSet := lookupEnv(r.environ, name); isSet {
			env = append(env, fmt.Sprintf("%s=%s", name, r.settings.values[name]))
		}
	}
	return env
}
