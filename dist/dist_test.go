// Package dist holds no Go code: its test installs, runs and removes what
// install.mk installs.
package dist

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// links are the names that have to lead to moat.
var links = []string{
	"iptables", "iptables-nft", "iptables-save", "iptables-nft-save", "iptables-restore", "iptables-nft-restore", "iptables-apply",
	"ip6tables", "ip6tables-nft", "ip6tables-save", "ip6tables-nft-save", "ip6tables-restore", "ip6tables-nft-restore", "ip6tables-apply",
	"iptables-xml", "netfilter-persistent", "xtables-nft-multi",
}

// place is an installation below a folder, with a program that only tells how
// it was called and fails when told "save" while the file fail is there.
type place struct {
	t      *testing.T
	root   string
	binary string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, root: t.TempDir(), binary: filepath.Join(t.TempDir(), "moat")}
	p.write(p.binary, "#!/bin/sh\necho \"called ${0##*/} $*\"\n[ ! -e '"+p.root+"/fail' ] || exit 4\n", 0o755)
	return p
}

func (p *place) write(path, text string, mode fs.FileMode) {
	p.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.root, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// make runs a target with variables; wantOK says how it has to end.
func (p *place) make(wantOK bool, args ...string) string {
	p.t.Helper()
	cmd := exec.Command("make", append([]string{"-f", "install.mk", "MOAT_BINARY=" + p.binary}, args...)...)
	out, err := cmd.CombinedOutput()
	if (err == nil) != wantOK {
		p.t.Fatalf("make %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// files lists what is not a folder, below the root.
func (p *place) files() []string {
	p.t.Helper()
	var list []string
	err := filepath.WalkDir(p.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(path, p.root+"/"))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func TestInstallPutsEveryNameAndFileInItsPlace(t *testing.T) {
	p := newPlace(t)
	p.make(true, "install", "DESTDIR="+p.root)
	want := []string{
		"etc/default/netfilter-persistent", "etc/init.d/netfilter-persistent", "usr/local/sbin/moat",
		"usr/local/lib/systemd/system/netfilter-persistent.service",
		"usr/local/lib/systemd/system/moat-rollback.path", "usr/local/lib/systemd/system/moat-rollback.service",
	}
	// Every program has a completion but the one that is for other programs.
	for _, name := range append([]string{"moat"}, links...) {
		if name != "xtables-nft-multi" {
			want = append(want, "usr/local/share/bash-completion/completions/"+name)
		}
	}
	pages, err := filepath.Glob("man/*.8")
	if err != nil || len(pages) < 4 {
		t.Fatalf("manual pages: %v, %v", pages, err)
	}
	for _, page := range pages {
		want = append(want, "usr/local/share/man/man8/"+filepath.Base(page))
	}
	for _, name := range links {
		want = append(want, "usr/local/sbin/"+name)
		if to, err := os.Readlink(p.root + "/usr/local/sbin/" + name); err != nil || to != "moat" {
			t.Errorf("%s leads to %q, %v", name, to, err)
		}
	}
	slices.Sort(want)
	if got := p.files(); !slices.Equal(got, want) {
		t.Errorf("installed:\n%s\nmust be:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, mode := range map[string]fs.FileMode{"usr/local/sbin/moat": 0o755, "etc/init.d/netfilter-persistent": 0o755, "etc/default/netfilter-persistent": 0o644} {
		if info, err := os.Stat(filepath.Join(p.root, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; must be %v", name, info.Mode(), err, mode)
		}
	}
}

func TestInstalledUnitAndScriptNameTheInstalledProgram(t *testing.T) {
	p := newPlace(t)
	p.make(true, "install", "DESTDIR="+p.root, "PREFIX=/opt/moat")
	unit := p.read("opt/moat/lib/systemd/system/netfilter-persistent.service")
	for _, line := range []string{
		"ExecStart=/opt/moat/sbin/netfilter-persistent start", "ExecStop=/opt/moat/sbin/netfilter-persistent stop",
		"ExecReload=/opt/moat/sbin/netfilter-persistent reload", "Before=network-pre.target shutdown.target",
		"Wants=network-pre.target systemd-modules-load.service local-fs.target", "DefaultDependencies=no", "Conflicts=shutdown.target",
		"After=systemd-modules-load.service local-fs.target", "Type=oneshot", "RemainAfterExit=yes", "WantedBy=multi-user.target",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("no line %q in the unit:\n%s", line, unit)
		}
	}
	rollback := p.read("opt/moat/lib/systemd/system/moat-rollback.service")
	for _, line := range []string{
		"ExecStart=/opt/moat/sbin/moat watchdog", "ConditionPathExists=/var/lib/moat/pending", "Restart=on-failure", "Type=oneshot", "TimeoutStartSec=infinity",
		"Before=netfilter-persistent.service network-pre.target shutdown.target", "WantedBy=multi-user.target",
	} {
		if !strings.Contains(rollback, "\n"+line+"\n") {
			t.Errorf("no line %q in the unit:\n%s", line, rollback)
		}
	}
	if script := p.read("etc/init.d/netfilter-persistent"); !strings.Contains(script, "\nPROGRAM=/opt/moat/sbin/netfilter-persistent\n") {
		t.Errorf("init script:\n%s", script)
	}
}

func TestUnitsAreUnderstoodBySystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("no systemd here: %v", err)
	}
	p := installedHere(t)
	for _, name := range []string{"moat-rollback.path", "moat-rollback.service", "netfilter-persistent.service"} {
		cmd := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", p.root+"/usr/lib/systemd/system/"+name)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestSecondInstallKeepsSettings(t *testing.T) {
	p := newPlace(t)
	p.make(true, "install", "DESTDIR="+p.root)
	p.write(p.root+"/etc/default/netfilter-persistent", "FLUSH_ON_STOP=1\n", 0o644)
	before := p.files()
	p.make(true, "install", "DESTDIR="+p.root)
	if got := p.read("etc/default/netfilter-persistent"); got != "FLUSH_ON_STOP=1\n" {
		t.Errorf("settings: %q", got)
	}
	if got := p.files(); !slices.Equal(got, before) {
		t.Errorf("files: %s", got)
	}
}

func TestUninstallLeavesWhatBelongsToTheAdmin(t *testing.T) {
	p := newPlace(t)
	p.make(true, "install", "DESTDIR="+p.root)
	p.write(p.root+"/etc/iptables/rules.v4", "# mine\n", 0o640)
	p.write(p.root+"/usr/local/sbin/other", "", 0o755)
	p.make(true, "uninstall", "DESTDIR="+p.root)
	want := []string{"etc/default/netfilter-persistent", "etc/iptables/rules.v4", "usr/local/sbin/other"}
	if got := p.files(); !slices.Equal(got, want) {
		t.Errorf("left: %s", got)
	}
}

func TestInstallRefusesToReplaceAnotherPackagesProgram(t *testing.T) {
	p := newPlace(t)
	p.write(p.root+"/usr/sbin/iptables-apply", "theirs", 0o755)
	out := p.make(false, "install", "DESTDIR="+p.root, "PREFIX=/usr")
	if !strings.Contains(out, "/usr/sbin/iptables-apply is not ours") {
		t.Errorf("it said:\n%s", out)
	}
	if got := p.files(); !slices.Equal(got, []string{"usr/sbin/iptables-apply"}) {
		t.Errorf("files: %s", got)
	}
}

func TestCompletionOfTheShellsOwnPackageStays(t *testing.T) {
	p := newPlace(t)
	const theirs = "/usr/share/bash-completion/completions/iptables"
	p.write(p.root+theirs, "theirs", 0o644)
	out := p.make(true, "install", "DESTDIR="+p.root, "PREFIX=/usr")
	if !strings.Contains(out, theirs+" is not ours and stays") {
		t.Errorf("it said:\n%s", out)
	}
	p.make(true, "uninstall", "DESTDIR="+p.root, "PREFIX=/usr")
	if got := p.read(theirs); got != "theirs" {
		t.Errorf("the completion holds %q", got)
	}
}

func TestInstallWithoutBinarySaysHowToGetOne(t *testing.T) {
	p := newPlace(t)
	out := p.make(false, "install", "DESTDIR="+p.root, "MOAT_BINARY=/nonexistent/moat")
	if !strings.Contains(out, `run "make build" first`) {
		t.Errorf("it said:\n%s", out)
	}
}

func TestInitScriptOfAnotherPackageComesBack(t *testing.T) {
	p := newPlace(t)
	p.write(p.root+"/etc/init.d/netfilter-persistent", "theirs", 0o755)
	for range 2 { // the second install must not take ours for theirs
		p.make(true, "install", "DESTDIR="+p.root)
	}
	if got := p.read("etc/init.d/netfilter-persistent"); !strings.Contains(got, "(moat)") {
		t.Errorf("the init script is not ours:\n%s", got)
	}
	p.make(true, "uninstall", "DESTDIR="+p.root)
	if got := p.read("etc/init.d/netfilter-persistent"); got != "theirs" {
		t.Errorf("the init script holds %q", got)
	}
}

// installedHere installs so that the paths written into files are real ones.
func installedHere(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	p.make(true, "install", "PREFIX="+p.root+"/usr", "SYSCONFDIR="+p.root+"/etc")
	return p
}

// inMounts runs a shell script in a mount namespace where /etc/init.d holds our
// script alone, and /run nothing.
func (p *place) inMounts(script string) (output string, exitCode int) {
	p.t.Helper()
	const setup = `set -e; mount -t tmpfs none /run; mount --bind "$1/etc/init.d" /etc/init.d; set +e` + "\n"
	args := []string{"-m", "sh", "-c", setup + script, "sh", p.root}
	if os.Geteuid() != 0 {
		args = append([]string{"-r"}, args...)
	}
	var out bytes.Buffer
	cmd := exec.Command("unshare", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestInitScriptPassesVerbsOn(t *testing.T) {
	p := installedHere(t)
	for verb, want := range map[string]string{
		"start": "start", "restart": "start", "reload": "start", "force-reload": "start", "stop": "stop", "save": "save", "flush": "flush",
	} {
		out, code := p.inMounts("/etc/init.d/netfilter-persistent " + verb)
		if code != 0 || !strings.Contains(out, "called netfilter-persistent "+want+"\ndone.\n") {
			t.Errorf("%s: exit code %d:\n%s", verb, code, out)
		}
	}
	for _, verb := range []string{"", "foo"} {
		if out, code := p.inMounts("/etc/init.d/netfilter-persistent " + verb); code != 1 || !strings.HasPrefix(out, "Usage: ") {
			t.Errorf("%q: exit code %d:\n%s", verb, code, out)
		}
	}
}

func TestInitScriptGivesTheProgramsFailure(t *testing.T) {
	p := installedHere(t)
	p.write(p.root+"/fail", "", 0o644)
	if out, code := p.inMounts("/etc/init.d/netfilter-persistent start"); code != 4 || !strings.HasSuffix(out, "failed.\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestServiceCommandReachesSave(t *testing.T) {
	p := installedHere(t)
	// With systemd, service(8) gives unknown verbs to the init script and the
	// others to systemctl, which here only tells how it was called.
	p.write(p.root+"/bin/systemctl", "#!/bin/sh\necho \"systemctl $*\"\n", 0o755)
	const systemd = `mkdir -p /run/systemd/system; PATH="$1/bin:$PATH"; export PATH` + "\n"
	for _, c := range []struct{ name, setup, verb, want string }{
		{"without systemd", "", "save", "called netfilter-persistent save\n"},
		{"without systemd", "", "start", "called netfilter-persistent start\n"},
		{"with systemd", systemd, "save", "called netfilter-persistent save\n"},
		{"with systemd", systemd, "flush", "called netfilter-persistent flush\n"},
		{"with systemd", systemd, "restart", "systemctl restart netfilter-persistent.service\n"},
	} {
		out, code := p.inMounts(c.setup + "service netfilter-persistent " + c.verb)
		if code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s, %s: exit code %d:\n%s", c.name, c.verb, code, out)
		}
	}
}

func TestCompletionOffersCommandsAndOptions(t *testing.T) {
	for _, c := range []struct{ file, function, words, want string }{
		{"netfilter-persistent", "_netfilter_persistent", "netfilter-persistent st", "start stop"},
		{"netfilter-persistent", "_netfilter_persistent", "netfilter-persistent save s", ""},
		{"iptables-apply", "_iptables_apply", "iptables-apply --t", "--timeout"},
		{"iptables-apply", "_iptables_apply", "iptables-apply -t c", ""},
		{"iptables-apply", "_iptables_apply", "ip6tables-apply completion/iptables-a", "completion/iptables-apply"},
	} {
		script := `. "completion/$1"; COMP_WORDS=($3); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "$2"; echo "${COMPREPLY[*]}"`
		out, err := exec.Command("bash", "-c", script, "bash", c.file, c.function, c.words).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("%s: %q, %v; must be %q", c.words, out, err, c.want)
		}
	}
}
