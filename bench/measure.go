package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// enterNamespace makes sure that this thread may make network namespaces. done
// says that a copy of this process inside a user namespace did the work.
func enterNamespace() (done bool, err error) {
	runtime.LockOSThread() // children are born in this thread's namespace
	if _, err := newNamespace(); err == nil {
		return false, nil
	} else if os.Geteuid() == 0 || !errors.Is(err, unix.EPERM) {
		return false, err
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	return true, cmd.Run()
}

// newNamespace puts this thread into a new network namespace and gives its descriptor.
func newNamespace() (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	return unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func processors() int { return runtime.NumCPU() }

// sample is one run of a program.
type sample struct {
	wall time.Duration
	rss  int64 // KiB
}

// run runs the program with a suffix ("-save") and arguments in its namespace.
func (p *program) run(suffix string, args ...string) (sample, error) {
	if err := unix.Setns(p.netns, unix.CLONE_NEWNET); err != nil {
		return sample{}, err
	}
	cmd := exec.Command(p.path+suffix, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(start)}
	if err != nil {
		return s, fmt.Errorf("%s%s %s: %w: %s", p.name, suffix, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	s.rss = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	return s, nil
}

// work is one row: what each program does in each turn.
type work struct {
	name   string
	turns  int
	target float64 // ratio to iptables-nft that is to be held; 0 none
	limit  float64 // what the row itself is to stay under, in its unit; 0 none
	beyond float64 // how many ms over iptables-nft it may be; 0 none
	// do runs the program once; before, if not nil, comes first and is not measured.
	do     func(p *program, turn int) (sample, error)
	before func(p *program, turn int) error
	memory bool // the row is of peak memory in MB, not of time
}

// measure runs a row and prints it. What a program cannot do is shown by a dash.
func (b *bench) measure(w work) error {
	if !strings.Contains(w.name, b.only) {
		return nil
	}
	samples := make([][]float64, len(b.programs))
	failed := make([]bool, len(b.programs))
	for turn := range w.turns {
		for first := range b.programs { // each begins in its turn: the one before leaves its traces in the caches
			i := (first + turn) % len(b.programs)
			p := b.programs[i]
			if failed[i] {
				continue
			}
			s, err := w.turn(p, turn)
			if err != nil && p.name != "iptables-legacy" {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			failed[i] = err != nil
			value := s.wall.Seconds() * 1000
			if w.memory {
				value = float64(s.rss) * 1024 / 1e6
			}
			samples[i] = append(samples[i], value)
		}
	}
	for i := range samples {
		if failed[i] {
			samples[i] = nil
		}
	}
	b.row(w, samples)
	return nil
}

func (w *work) turn(p *program, turn int) (sample, error) {
	if w.before != nil {
		if err := w.before(p, turn); err != nil {
			return sample{}, err
		}
	}
	return w.do(p, turn)
}

func (b *bench) head() {
	fmt.Println("| work | moat | iptables-nft | iptables-legacy | ratio to nft (spread) | ratio to legacy | target |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|")
}

// row prints the medians and ratios of a row; samples are in the order of b.programs.
func (b *bench) row(w work, samples [][]float64) {
	unit := "ms"
	if w.memory {
		unit = "MB"
	}
	cells := []string{w.name}
	for _, s := range samples {
		if len(s) == 0 {
			cells = append(cells, "–")
		} else {
			cells = append(cells, fmt.Sprintf("%.1f %s", quantile(s, 0.5), unit))
		}
	}
	for _, rival := range samples[1:] {
		cells = append(cells, ratio(samples[0], rival))
	}
	fmt.Println("| " + strings.Join(append(cells, w.judge(quantile(samples[0], 0.5), quantile(samples[1], 0.5))), " | ") + " |")
}

// judge gives the row's target, and says if the medians miss it.
func (w *work) judge(ours, theirs float64) (target string) {
	missed := false
	switch {
	case w.target > 0:
		target, missed = fmt.Sprintf("%.2f", w.target), ours > w.target*theirs
	case w.limit > 0:
		target, missed = fmt.Sprintf("≤ %.0f", w.limit), ours > w.limit
	case w.beyond > 0:
		target, missed = fmt.Sprintf("+%.1f ms", w.beyond), ours > theirs+w.beyond
	}
	if missed {
		target += " **missed**"
	}
	return target
}

// ratio is that of the medians, with the quartiles of the single turns' ratios.
func ratio(ours, theirs []float64) string {
	if len(theirs) == 0 {
		return "–"
	}
	single := make([]float64, len(ours))
	for i := range ours {
		single[i] = ours[i] / theirs[i]
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", quantile(ours, 0.5)/quantile(theirs, 0.5), quantile(single, 0.25), quantile(single, 0.75))
}

// quantile is the value below which the given part of the samples lies.
func quantile(s []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	at := part * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}
