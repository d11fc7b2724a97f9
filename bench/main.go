// Command bench runs Moat, Debian's iptables-nft and its iptables-legacy in
// turn on the same work, in network namespaces of its own, and prints how long
// each took and the ratios. It needs root, or user namespaces for everyone.
//
//	go run ./bench -moat bin/moat          everything, some ten minutes
//	go run ./bench -moat bin/moat -quick   under two minutes
//
// Ratios are of wall time: Moat's median over the other's. Programs take turns,
// so that what else the machine does meets all of them; the spread is that of
// the ratios of single turns (first to third quartile).
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	moat := flag.String("moat", "bin/moat", "the binary to measure")
	quick := flag.Bool("quick", false, "fewer turns, and of 100,000 rules only what is not slow in the kernel")
	only := flag.String("only", "", "only the rows whose name contains this")
	flag.Parse()
	if err := run(*moat, *quick, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(moat string, quick bool, only string) error {
	if done, err := enterNamespace(); done || err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "moat-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, quick: quick, only: only}
	if err := b.findPrograms(moat); err != nil {
		return err
	}
	fmt.Println(machine())
	fmt.Println()
	b.head()
	for _, part := range []func() error{b.startUp, b.small, b.plain10k, b.written, b.plain100k} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// bench is a run of the benchmarks.
type bench struct {
	dir      string
	quick    bool
	only     string
	programs []*program
}

// program is one of the rivals.
type program struct {
	name    string
	path    string // of NAME; -save and -restore stand beside it
	netns   int    // file descriptor of its network namespace
	deleted int    // how many rules were deleted one by one
}

// findPrograms installs Moat, and gives each program its namespace: two of
// nf_tables share one, so that they work on the same rules.
func (b *bench) findPrograms(moat string) error {
	if err := b.install(moat); err != nil {
		return err
	}
	nft, err := newNamespace()
	if err != nil {
		return err
	}
	legacy, err := newNamespace()
	if err != nil {
		return err
	}
	b.programs = []*program{
		{name: "moat", path: filepath.Join(b.dir, "iptables"), netns: nft},
		{name: "iptables-nft", path: "iptables-nft", netns: nft},
		{name: "iptables-legacy", path: "iptables-legacy", netns: legacy},
	}
	return b.makeSets()
}

// install copies the binary, as make install does, and links the programs to
// it. A file that the Go linker has just written through a mapping lies in the
// page cache in single pages and starts half a millisecond slower than its copy.
func (b *bench) install(moat string) error {
	data, err := os.ReadFile(moat)
	if err != nil {
		return fmt.Errorf("%w: run make build first", err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "moat"), data, 0o700); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-save", "-restore"} {
		if err := os.Symlink("moat", filepath.Join(b.dir, "iptables"+suffix)); err != nil {
			return err
		}
	}
	return nil
}

// makeSets makes the address set that firewalld's rules refer to.
func (b *bench) makeSets() error {
	for _, p := range b.programs[1:] {
		if err := unix.Setns(p.netns, unix.CLONE_NEWNET); err != nil {
			return err
		}
		if out, err := exec.Command("ipset", "create", "bench", "hash:ip").CombinedOutput(); err != nil {
			return fmt.Errorf("ipset create: %w: %s", err, out)
		}
	}
	return nil
}

// machine says what the figures were measured on.
func machine() string {
	field := func(path, key string) string {
		data, _ := os.ReadFile(path) // "" is printed if it is not there
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); key == "" || ok && strings.TrimSpace(name) == key {
				if key == "" {
					return strings.TrimSpace(line)
				}
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	return fmt.Sprintf("%s, %d processors, %s; Linux %s; load %s",
		field("/proc/cpuinfo", "model name"), processors(), field("/proc/meminfo", "MemTotal"),
		field("/proc/sys/kernel/osrelease", ""), field("/proc/loadavg", ""))
}
