package main

import (
	"fmt"
	"strings"
	"time"
)

// turns gives the number of turns, fewer when it is to be quick.
func (b *bench) turns(many, few int) int {
	if b.quick {
		return few
	}
	return many
}

// does is a work that is one command.
func does(suffix string, args ...string) func(*program, int) (sample, error) {
	return func(p *program, _ int) (sample, error) { return p.run(suffix, args...) }
}

func (b *bench) startUp() error {
	return b.measure(work{name: "-V", turns: b.turns(300, 100), beyond: 1.5, do: does("", "-V")})
}

// small measures one rule on a firewall as a person writes it.
func (b *bench) small() error {
	if err := b.load(small); err != nil {
		return err
	}
	args := strings.Fields("-A INPUT -s 192.0.2.1 -p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT")
	if err := b.measure(work{name: "20 rules: -A", turns: b.turns(200, 60), target: 1, do: does("", args...)}); err != nil {
		return err
	}
	return b.measure(work{name: "20 rules: -L -n", turns: b.turns(100, 30), do: does("", "-L", "-n")})
}

// targets are the ratios to be held for plain rules.
type targets struct{ restore, list, check, add float64 }

func (b *bench) plain10k() error {
	return b.plain(10_000, b.turns(21, 7), false, targets{0.8, 0.7, 0.8, 1})
}

// plain100k leaves out what takes the kernel seconds when it is to be quick.
func (b *bench) plain100k() error {
	return b.plain(100_000, b.turns(3, 1), b.quick, targets{0.85, 1, 1, 1})
}

// plain measures n rules of one form in one chain.
func (b *bench) plain(n, turns int, short bool, t targets) error {
	file, err := b.prepare(fmt.Sprintf("%d rules: ", n), plain(n))
	if file == "" || err != nil {
		return err
	}
	const writing = 3 // the first rows, of which the kernel makes no dump
	rows := []work{
		{name: "restore", target: t.restore, before: settle(n), do: does("-restore", file)},
		{name: "append", target: t.add, do: oneRule("-A", -1)},
		{name: "insert", target: t.add, do: oneRule("-I", -2)},
		{name: "check the first", target: t.check, do: oneRule("-C", 0)},
		{name: "check the middle", target: t.check, do: oneRule("-C", n/2)},
		{name: "check the last", target: t.check, do: oneRule("-C", n-1)},
		{name: "delete in the middle", target: t.check, do: deleteNext(n / 2)},
		{name: "-S", target: t.list, do: does("", "-S")},
		{name: "-L -n", target: t.list, do: does("", "-L", "-n")},
		{name: "save", target: t.list, do: does("-save")},
	}
	if short {
		rows = append(rows[:writing], rows[len(rows)-1])
	}
	if n >= 100_000 {
		rows = append(rows,
			work{name: "peak memory, save", memory: true, limit: 166, do: does("-save")},
			work{name: "peak memory, -L -n", memory: true, limit: 166, do: does("", "-L", "-n")},
			work{name: "peak memory, restore", memory: true, limit: 166, do: does("-restore", file)})
		if short {
			rows = append(rows[:writing+1], rows[len(rows)-1])
		}
	}
	for i, w := range rows {
		w.name = fmt.Sprintf("%d rules: %s", n, w.name)
		if w.turns = turns; n >= 100_000 && i < writing {
			w.turns = 3 * turns
		}
		if err := b.measure(w); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the kernel has freed the n rules that the program before
// replaced: it does so behind that one's back, and at the cost of the next.
func settle(n int) func(*program, int) error {
	return func(*program, int) error {
		time.Sleep(time.Duration(n) * 10 * time.Microsecond)
		return nil
	}
}

// oneRule does one thing with rule i of plain.
func oneRule(command string, i int) func(*program, int) (sample, error) {
	return func(p *program, _ int) (sample, error) {
		return p.run("", append([]string{command, "INPUT"}, strings.Fields(plainRule(i))...)...)
	}
}

// deleteNext deletes a rule at each turn, another for each program.
func deleteNext(from int) func(*program, int) (sample, error) {
	return func(p *program, _ int) (sample, error) {
		p.deleted++
		i := from + 2*p.deleted
		if p.name == "iptables-nft" {
			i++ // Moat's are between: they share their rules
		}
		return oneRule("-D", i)(p, 0)
	}
}

// written measures rulesets as programs write them.
func (b *bench) written() error {
	for _, w := range []struct {
		name string
		text string
	}{
		{"Docker", docker(10_000)}, {"ufw", ufw(10_000)}, {"firewalld", firewalld(10_000)}, {"kube-proxy", kubeProxy(10_000)},
	} {
		name := "10000 rules of " + w.name + ": "
		file, err := b.prepare(name, w.text)
		if err != nil {
			return err
		}
		if file == "" {
			continue
		}
		for _, row := range []work{
			{name: name + "restore", target: 0.8, before: settle(10_000), do: does("-restore", file)},
			{name: name + "save", target: 0.7, do: does("-save")},
		} {
			row.turns = b.turns(11, 3)
			if err := b.measure(row); err != nil {
				return err
			}
		}
		if err := b.load("*filter\nCOMMIT\n*nat\nCOMMIT\n"); err != nil {
			return err
		}
	}
	return nil
}

// prepare writes the rules of a part of the benchmarks into a file and loads
// them; "" if no row that begins with name is wanted.
func (b *bench) prepare(name, text string) (file string, err error) {
	if b.only == "" { // the first row is the restore
		return b.file(text)
	}
	if at := strings.LastIndex(b.only, ": "); at >= 0 && !strings.Contains(name, b.only[:at]) {
		return "", nil
	}
	if err := b.load(text); err != nil {
		return "", err
	}
	return b.file(text)
}

// load restores a text by every program.
func (b *bench) load(text string) error {
	file, err := b.file(text)
	if err != nil {
		return err
	}
	for _, p := range b.programs {
		if _, err := p.run("-restore", file); err != nil && p.name != "iptables-legacy" {
			return err
		}
	}
	return nil
}
