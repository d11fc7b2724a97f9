package guard

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
)

// entered is a change in a real connection, and what the guard should say to it.
// The kernel judges: what is obeyed must not cut off, and what is refused must.
type entered struct {
	name      string
	untracked bool     // the connection is older than tracking
	first     []string // by the console, before it is opened
	port      uint16   // that the client knows; 0 is 22
	prepare   []string // by the console, before
	order     string
	lost      string // part of what is lost; "" for a change that is obeyed
	by        string
	warns     string
	noRemedy  bool
	alone     bool // nothing else is lost
	byLuck    bool // it lives on if a packet comes late, or none does
}

const (
	zoneIn     = "iptables -t raw -A PREROUTING -p tcp -j CT "
	zoneOut    = "iptables -t raw -A OUTPUT -p tcp -j CT "
	dropState  = "iptables -A %s -p tcp -m conntrack --ctstate %s -j DROP"
	redirected = "iptables -t nat -A PREROUTING -p tcp --dport 2222 -j REDIRECT --to-ports 22"
	sourced    = "iptables -t nat -A INPUT -p tcp -j SNAT --to-source "
)

var zoneCases = []entered{
	{name: "one way", order: zoneIn + "--zone 7"},
	{name: "both ways", prepare: []string{zoneIn + "--zone 7"}, order: zoneOut + "--zone 7"},
	{name: "the known connection's original direction", order: zoneIn + "--zone-orig 7", lost: "this connection's packets", by: "rule 1 of PREROUTING, table raw"},
	{name: "reply direction on the way in", order: zoneIn + "--zone-reply 7", lost: "answers to new connections", by: "which hides from connection tracking"},
	{name: "original direction on the way out", order: zoneOut + "--zone-orig 7"},
	{name: "reply direction on the way out", order: zoneOut + "--zone-reply 7"},
	{name: "new ones in another zone", order: zoneIn + "--zone 7", prepare: []string{"iptables -A INPUT -p tcp -m conntrack --ctstate INVALID -j DROP"}, lost: "new connections", by: "--ctstate INVALID -j DROP"},
	{name: "answers in another zone", order: zoneOut + "--zone 7", prepare: []string{"iptables -A OUTPUT -p tcp -m conntrack --ctstate NEW -j DROP"}, lost: "this connection's answers", by: "--ctstate NEW -j DROP"},
	{name: "answers in another zone, established only", order: zoneIn + "--zone 7", prepare: []string{
		"iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "iptables -P OUTPUT DROP"}, lost: "answers", by: "policy DROP of OUTPUT"},
	{name: "dropping what the zone makes new", prepare: []string{zoneIn + "--zone 7"}, order: "iptables -A INPUT -p tcp -m conntrack --ctstate NEW ! --syn -j DROP", lost: "this connection's packets", by: "rule 2 of INPUT"},
	{name: "dropping what the zone makes invalid", prepare: []string{zoneIn + "--zone 7"}, order: "iptables -A OUTPUT -p tcp -m conntrack --ctstate INVALID -j DROP", lost: "answers", by: "rule 1 of OUTPUT"},
	{name: "established in the zone", prepare: []string{zoneIn + "--zone 7", zoneOut + "--zone 7", "iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "iptables -A INPUT -p tcp --syn --dport 22 -j ACCEPT"}, order: dropIn},
	{name: "zone of a mark", prepare: []string{"iptables -t raw -A PREROUTING -p tcp -j MARK --set-mark 7", "iptables -A INPUT -p tcp -m conntrack --ctstate INVALID -j DROP"}, order: zoneIn + "--zone mark", lost: "new connections", by: "--ctstate INVALID -j DROP"},
	{name: "a later zone is not heard", prepare: []string{zoneIn + "--ctevents new", "iptables -A INPUT -p tcp -m conntrack --ctstate INVALID -j DROP"}, order: zoneIn + "--zone 7"},
	{name: "a later NOTRACK is not heard", prepare: []string{zoneIn + "--ctevents new", "iptables -A INPUT -p tcp -m conntrack --ctstate UNTRACKED -j DROP"}, order: "iptables -t raw -A PREROUTING -j NOTRACK"},
	{name: "through a redirection", port: 2222, order: zoneIn + "--zone 7", lost: "answers to new connections", by: "rule 1 of PREROUTING, table raw"},
	{name: "untracked one way", order: "iptables -t raw -A OUTPUT -p tcp -j NOTRACK", prepare: []string{"iptables -A INPUT -p tcp -m conntrack --ctstate INVALID -j DROP"}, lost: "new connections", by: "--ctstate INVALID -j DROP"},
	{name: "untracked one way, later", order: "iptables -t raw -A OUTPUT -p tcp -j NOTRACK", prepare: []string{"iptables -A INPUT -p tcp -m conntrack --ctstate NEW ! --syn -j DROP"}, warns: "minutes"},

	{name: "leaving a zone", first: []string{zoneIn + "--zone 7", zoneOut + "--zone 7"}, prepare: []string{
		"iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "iptables -A INPUT -p tcp --syn --dport 22 -j ACCEPT", dropIn},
		order: "iptables -t raw -F", byLuck: true, lost: "this connection's packets", by: "policy DROP of INPUT"},
	{name: "a translated connection in a zone", port: 2222, first: []string{zoneIn + "--zone 7", zoneOut + "--zone 7"},
		order: "iptables -t raw -A PREROUTING -p tcp --dport 2222 -j DROP", lost: "this connection's packets, and new connections from 203.0.113.7 to port 2222", by: "table raw", noRemedy: true},
	{name: "zones of marks, left", first: []string{"iptables -t raw -A PREROUTING -j MARK --set-mark 9", "iptables -t raw -A OUTPUT -j MARK --set-mark 9", zoneIn + "--zone mark", zoneOut + "--zone mark"}, prepare: []string{
		"iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "iptables -A INPUT -p tcp --syn --dport 22 -j ACCEPT", dropIn},
		order: "iptables -t raw -R PREROUTING 1 -j MARK --set-mark 8", lost: "this connection's packets", by: "policy DROP of INPUT"},
	{name: "through another source", first: []string{sourced + "198.51.100.77"}, order: "iptables -A INPUT -p tcp -s 198.51.100.77 -j DROP", lost: "", by: ""},
	{name: "through another source, dropped in front of it", first: []string{sourced + "198.51.100.77"}, order: "iptables -A OUTPUT -d 203.0.113.7 -p tcp -j DROP", lost: "this connection's answers, and answers to new connections from 203.0.113.7 to port 22", by: "rule 1 of OUTPUT"},
	{name: "through another source, dropped by chance", first: []string{sourced + "198.51.100.77"}, order: "iptables -A INPUT -p tcp -m statistic --mode random --probability 0.0000001 -j DROP", warns: "statistic"},
	{name: "through another source, dropped behind it", first: []string{sourced + "198.51.100.77"}, order: "iptables -t raw -A OUTPUT -d 198.51.100.77 -j DROP", lost: "this connection's answers, and answers to new connections from 203.0.113.7 to port 22", by: "rule 1 of OUTPUT, table raw", alone: true},
	{name: "through another source, its client dropped", first: []string{sourced + "198.51.100.77"}, order: "iptables -A INPUT -s 203.0.113.7 -j DROP", lost: "this connection's packets, and new connections from 203.0.113.7 to port 22", by: "rule 2 of INPUT"},
	{name: "not tracked yet", untracked: true, order: zoneIn + "--zone-orig 7", lost: "this connection's packets", by: "which hides from connection tracking", byLuck: true},
	{name: "not tracked yet, both directions", untracked: true, order: zoneIn + "--zone 7"},
	{name: "not tracked yet, redirected to the other port", untracked: true, order: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222", lost: "this connection's packets", by: "port 2222, which is not this connection's"},
	{name: "not tracked yet, another source", untracked: true, order: sourced + "198.51.100.77", lost: "this connection's packets", by: "which gives them another source"},

	{name: "source without a way", order: sourced + "10.9.9.9", lost: "answers to new connections", by: "rule 1 of INPUT, table nat: -A INPUT -p tcp -j SNAT --to-source 10.9.9.9, after which answers go to 10.9.9.9, to which this host has no way"},
	{name: "network without a way", order: "iptables -t nat -A INPUT -p tcp -j NETMAP --to 10.9.9.0/24", lost: "answers to new connections", by: "to which this host has no way"},
	{name: "source on the link", order: sourced + "198.51.100.77"},
	{name: "source of this host", order: sourced + "198.51.100.2"},
	{name: "source of loopback", order: sourced + "127.0.0.1"},
	{name: "sources", order: sourced + "198.51.100.77-198.51.100.79", warns: "does not know"},
	{name: "source by another interface", prepare: []string{"iptables -A OUTPUT -o lo -j DROP"}, order: sourced + "198.51.100.2", lost: "answers to new connections", by: "rule 1 of OUTPUT"},
	{name: "source with untracked answers", prepare: []string{"iptables -t raw -A OUTPUT -p tcp -j NOTRACK"}, order: sourced + "198.51.100.77", lost: "answers to new connections", by: "rule 1 of INPUT, table nat"},
}

func TestZonesAndSources(t *testing.T) {
	for _, c := range zoneCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			enter(t, &c)
		})
	}
}

// connected is a world in which the case's connection is open.
func connected(t *testing.T, c *entered) *world {
	t.Helper()
	w := &world{server: newServer(t), o: orders{Rand: rand.New(rand.NewPCG(1, 2))}, to: lab.At(lab.ServerAddr, max(c.port, 22))}
	if err := w.Server.Echo("tcp 22,2222"); err != nil {
		t.Fatal(err)
	}
	track := func() {
		w.on(func() error { w.prepare("iptables -A INPUT -p udp -m conntrack --ctstate NEW"); return nil })
	}
	switch {
	case c.untracked:
		w.connect()
		time.Sleep(300 * time.Millisecond) // a late acknowledgement would be tracked
		track()
		return w
	case c.port != 0:
		w.on(func() error { w.prepare(redirected); return nil })
	}
	track()
	w.on(func() error { w.prepare(c.first...); return nil })
	w.connect()
	w.on(func() error { w.prepare(c.prepare...); return nil })
	if live := w.conn.Alive(lab.LongWait); live.State != lab.Open {
		t.Fatalf("prepared, the connection is %v", live)
	}
	return w
}

// enter gives the order in a connection of its own, and what is refused once more
// after its remedy.
func enter(t *testing.T, c *entered) {
	w := connected(t, c)
	a := w.tell(c.order)
	switch {
	case a.refusal == nil && !a.obeyed:
		t.Fatal("the kernel does not take it")
	case a.refusal == nil && c.lost != "":
		t.Fatalf("obeyed; it said %q", a.said)
	case a.refusal == nil:
		if (c.warns == "") != (a.said == "") || !strings.Contains(a.said, c.warns) {
			t.Errorf("warned %q", a.said)
		}
		w.getsThrough(c.order)
		return
	case c.lost == "":
		t.Errorf("refused:\n%v", a.refusal)
	case !strings.Contains(a.refusal.Error(), c.lost) || !strings.Contains(a.refusal.Error(), c.by):
		t.Errorf("it does not say that %q is lost by %q:\n%v", c.lost, c.by, a.refusal)
	}
	if c.alone && len(a.refusal.Losses) != 1 {
		t.Errorf("more is lost:\n%v", a.refusal)
	}
	if !c.byLuck {
		connected(t, c).loses(c.order, a.refusal)
	}
	if (a.refusal.Remedy == nil) != c.noRemedy {
		t.Fatalf("remedy:\n%v", a.refusal)
	}
	if !c.noRemedy {
		w.mended(c.order, a.refusal)
	}
}

// mended does what a refusal says, and then gives the order again.
func (w *world) mended(order string, r *Refusal) {
	w.t.Helper()
	var again *Refusal
	w.on(func() error {
		for i := range r.Remedy.first {
			if again == nil {
				again = w.order(commandLine(r.family, &r.Remedy.first[i]))
			}
		}
		if again == nil {
			again = w.orderScript(order, r.Remedy.script(w.script(order)))
		}
		return nil
	})
	if again != nil {
		w.t.Fatalf("after\n%v\nit is refused again:\n%v", r, again)
	}
	w.getsThrough(order)
}
