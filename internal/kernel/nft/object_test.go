package nft

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTablesAndChainsReadBack(t *testing.T) {
	c := testConn(t)
	drop := uint32(NF_DROP)
	var b Batch
	b.AddTable(0, &Table{Family: NFPROTO_IPV6, Name: "t", Flags: NFT_TABLE_F_DORMANT, Userdata: []byte{0, 2, 'x', 0}})
	b.AddChain(0, &Chain{
		Family: NFPROTO_IPV6, Table: "t", Name: "base", Type: "filter", Policy: &drop,
		Hook: &Hook{Num: NF_INET_FORWARD, Priority: NF_IP_PRI_RAW}, Counters: &Counters{Packets: 7, Bytes: 700},
	})
	b.AddChain(0, &Chain{Family: NFPROTO_IPV6, Table: "t", Name: "user", Userdata: []byte{0, 2, 'y', 0}})
	must(t, c.Commit(&b))

	table, err := c.GetTable(NFPROTO_IPV6, "t")
	must(t, err)
	if table.Use != 2 || table.Handle == 0 || table.Flags != NFT_TABLE_F_DORMANT || string(table.Userdata) != "\x00\x02x\x00" {
		t.Errorf("table reads back as %+v", table)
	}
	base, err := c.GetChain(NFPROTO_IPV6, "t", "base")
	must(t, err)
	want := Chain{
		Family: NFPROTO_IPV6, Table: "t", Name: "base", Type: "filter", Policy: &drop, Handle: base.Handle,
		Hook: &Hook{Num: NF_INET_FORWARD, Priority: NF_IP_PRI_RAW}, Counters: &Counters{Packets: 7, Bytes: 700},
		Flags: NFT_CHAIN_BASE,
	}
	if !reflect.DeepEqual(base, want) {
		t.Errorf("chain reads back as %+v, want %+v", base, want)
	}
	user, err := c.GetChain(NFPROTO_IPV6, "t", "user")
	must(t, err)
	if user.Hook != nil || user.Policy != nil || user.Counters != nil || string(user.Userdata) != "\x00\x02y\x00" {
		t.Errorf("user chain reads back as %+v", user)
	}
	out := run(t, "nft", "list", "ruleset")
	for _, s := range []string{"flags dormant", "type filter hook forward priority raw; policy drop;", "chain user"} {
		if !strings.Contains(out, s) {
			t.Errorf("nft does not show %q:\n%s", s, out)
		}
	}
}

func TestChainIsChangedRenamedAndDeleted(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	b.AddChain(0, &Chain{Family: NFPROTO_IPV4, Table: "filter", Name: "old"})
	must(t, c.Commit(&b))
	old, err := c.GetChain(NFPROTO_IPV4, "filter", "old")
	must(t, err)

	b.Reset()
	b.RenameChain(NFPROTO_IPV4, "filter", old.Handle, "new")
	b.AddChain(0, &Chain{
		Family: NFPROTO_IPV4, Table: "filter", Name: "INPUT",
		Policy: ptr(uint32(NF_DROP)), Counters: &Counters{Packets: 3, Bytes: 4},
	})
	must(t, c.Commit(&b))
	input, err := c.GetChain(NFPROTO_IPV4, "filter", "INPUT")
	must(t, err)
	if *input.Policy != uint32(NF_DROP) || input.Counters == nil || *input.Counters != (Counters{3, 4}) {
		t.Errorf("changed chain is %+v", input)
	}
	if _, err := c.GetChain(NFPROTO_IPV4, "filter", "old"); !IsNotFound(err) {
		t.Errorf("renamed chain under its old name: %v", err)
	}

	b.Reset()
	b.DelChain(0, &Chain{Family: NFPROTO_IPV4, Table: "filter", Name: "new"})
	b.DelChain(0, &Chain{Family: NFPROTO_IPV4, Table: "filter", Handle: input.Handle})
	must(t, c.Commit(&b))
	must(t, c.DumpChains(NFPROTO_IPV4, "filter", func(ch *Chain) error {
		return fmt.Errorf("chain %s is still there", ch.Name)
	}))
	b.Reset()
	b.DelTable(&Table{Family: NFPROTO_IPV4, Name: "filter"})
	must(t, c.Commit(&b))
	must(t, c.DumpTables(NFPROTO_UNSPEC, func(tb *Table) error {
		return fmt.Errorf("table %s is still there", tb.Name)
	}))
}

// comments gives the rules' userdata in order, each as one word.
func comments(t *testing.T, c *Conn) (words string, handles []uint64) {
	t.Helper()
	var s []string
	must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error {
		s = append(s, string(r.Userdata))
		handles = append(handles, r.Handle)
		return nil
	}))
	return strings.Join(s, " "), handles
}

func TestRulesGoWherePositionSays(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	rule := func(flags uint16, word string, h RuleHeader) {
		h.Family, h.Table, h.Chain, h.Userdata = NFPROTO_IPV4, "filter", "INPUT", []byte(word)
		b.AddRule(flags, &h, nil)
	}
	expect := func(want string) []uint64 {
		t.Helper()
		must(t, c.Commit(&b))
		b.Reset()
		got, handles := comments(t, c)
		if got != want {
			t.Fatalf("rules are %q, want %q", got, want)
		}
		return handles
	}
	rule(RuleAppend, "b", RuleHeader{})
	rule(RuleAppend, "d", RuleHeader{ID: 9})
	rule(RuleInsert, "a", RuleHeader{})
	rule(RuleInsert, "c", RuleHeader{PositionID: 9})
	h := expect("a b c d")
	rule(RuleAppend, "b2", RuleHeader{Position: h[1]})
	rule(RuleInsert, "b1", RuleHeader{Position: h[1]})
	rule(RuleReplace, "D", RuleHeader{Handle: h[3]})
	h = expect("a b1 b b2 c D")
	b.DelRule(NFPROTO_IPV4, "filter", "INPUT", h[2])
	expect("a b1 b2 c D")
	must(t, c.GetRule(NFPROTO_IPV4, "filter", "INPUT", h[3], func(r *RuleView) error {
		if string(r.Userdata) != "b2" || r.Handle != h[3] {
			t.Errorf("GetRule gives %+v", r)
		}
		return nil
	}))
	b.FlushRules(NFPROTO_IPV4, "filter", "INPUT")
	expect("")
}

func TestEchoTellsHandlesByTag(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	h := RuleHeader{Family: NFPROTO_IPV4, Table: "filter", Chain: "INPUT", Compat: &RuleCompat{Proto: 6, Flags: NFT_RULE_COMPAT_F_INV}}
	const n = 500
	for i := range n {
		b.Tag(1000 + i)
		b.AddRule(RuleAppend|unix.NLM_F_ECHO, &h, nil)
	}
	told := map[int]uint64{}
	b.OnEcho = func(tag int, m Message) error {
		var r RuleView
		if m.Type != NFT_MSG_NEWRULE {
			return nil
		}
		told[tag] = 0
		if err := r.Decode(m); err != nil {
			return err
		}
		told[tag] = r.Handle
		return nil
	}
	must(t, c.Commit(&b))
	i := 0
	must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error {
		if told[1000+i] != r.Handle {
			t.Fatalf("rule %d: echo told handle %d, dump %+v", i, told[1000+i], r)
		}
		i++
		return nil
	}))
	if i != n || len(told) != n {
		t.Errorf("%d rules, %d echoes, want %d", i, len(told), n)
	}
}

func TestSetsAndElementsReadBack(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	vmap := Set{
		Family: NFPROTO_IPV4, Table: "filter", Name: "m", ID: 1, Flags: NFT_SET_MAP, KeyType: 7, KeyLen: 4,
		DataType: NFT_DATA_VERDICT, Size: 100, Userdata: []byte("template"),
	}
	pair := Set{
		Family: NFPROTO_IPV4, Table: "filter", Name: "p", ID: 2, Flags: NFT_SET_INTERVAL | NFT_SET_CONCAT,
		KeyType: 7<<6 | 13, KeyLen: 8, Fields: []uint32{4, 2},
	}
	ref := SetRef{Family: NFPROTO_IPV4, Table: "filter", Set: "m"}
	var counter Buffer
	counter.ExprCounter(5, 500)
	inner := NewAttrs(counter.Bytes())
	inner.Next()
	b.AddChain(0, &Chain{Family: NFPROTO_IPV4, Table: "filter", Name: "user"})
	b.AddSet(unix.NLM_F_EXCL, &vmap)
	b.AddSet(0, &pair)
	elements := []Element{
		{Key: []byte{10, 0, 0, 1}, HasVerdict: true, Verdict: NF_DROP, Userdata: []byte("one"), Expr: inner.Bytes()},
		{Key: []byte{10, 0, 0, 2}, HasVerdict: true, Verdict: NFT_JUMP, Chain: "user"},
	}
	b.AddElements(0, ref, elements)
	ranges := SetRef{Family: NFPROTO_IPV4, Table: "filter", Set: "p", ID: 2}
	b.AddElements(0, ranges, []Element{
		{Key: []byte{10, 0, 0, 0, 0, 80, 0, 0}, KeyEnd: []byte{10, 0, 0, 255, 0, 90, 0, 0}},
	})
	must(t, c.Commit(&b))
	checkSets(t, c, vmap, pair)
	got := map[string]string{}
	show := func(e *Element) error {
		got[string(e.Key)] = fmt.Sprintf("%d %s %s", e.Verdict, e.Chain, e.Userdata)
		if bytes.Equal(e.Key, elements[0].Key) && string(e.Expr) != string(withoutNested(inner.Bytes())) {
			t.Errorf("counter reads back as %x, want %x", e.Expr, inner.Bytes())
		}
		return nil
	}
	want := map[string]string{"\x0a\x00\x00\x01": "0  one", "\x0a\x00\x00\x02": "-3 user "}
	must(t, c.DumpElements(ref, show))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("dump gives %q, want %q", got, want)
	}
	clear(got)
	must(t, c.GetElements(ref, elements, show))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("get gives %q, want %q", got, want)
	}
	if out := run(t, "nft", "list", "ruleset"); !strings.Contains(out, "10.0.0.0/24 . 80-90") ||
		!strings.Contains(out, "10.0.0.1 counter packets 5 bytes 500 : drop") || !strings.Contains(out, "10.0.0.2 : jump user") {
		t.Errorf("nft shows:\n%s", out)
	}
	b.Reset()
	b.DelElements(0, ref, elements[:1])
	b.FlushElements(SetRef{Family: NFPROTO_IPV4, Table: "filter", Set: "p"})
	must(t, c.Commit(&b))
	if err := c.GetElements(ref, elements[:1], show); !IsNotFound(err) {
		t.Errorf("deleted element: %v", err)
	}
	b.Reset()
	b.DelSet(&Set{Family: NFPROTO_IPV4, Table: "filter", Name: "p"})
	must(t, c.Commit(&b))
	if _, err := c.GetSet(NFPROTO_IPV4, "filter", "p"); !IsNotFound(err) {
		t.Errorf("deleted set: %v", err)
	}
}

func checkSets(t *testing.T, c *Conn, want ...Set) {
	t.Helper()
	i := 0
	must(t, c.DumpSets(NFPROTO_IPV4, "filter", func(s *Set) error {
		got := *s
		got.ID, got.Handle = want[i].ID, 0 // the kernel gives no ID back
		if got.DataType == NFT_DATA_VERDICT {
			got.DataLen = 0 // the kernel gives the size of its own struct
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("set %d reads back as %+v, want %+v", i, got, want[i])
		}
		i++
		return nil
	}))
	if i != len(want) {
		t.Errorf("%d sets, want %d", i, len(want))
	}
}

func TestElementsOfManyMessages(t *testing.T) {
	c := testConn(t)
	const n = 20000
	var b Batch
	addFilter(&b)
	// With a size, as the kernel resizes sets without one while they are dumped.
	b.AddSet(0, &Set{Family: NFPROTO_IPV4, Table: "filter", Name: "s", ID: 1, KeyType: 7, KeyLen: 4, Size: 65536})
	ref := SetRef{Family: NFPROTO_IPV4, Table: "filter", Set: "s"}
	b.BeginElements(unix.NLM_F_EXCL, ref)
	keys := make([]Element, n)
	for i := range n {
		keys[i].Key = []byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
		b.AddElement(&Element{Key: keys[i].Key, Userdata: keys[i].Key})
	}
	b.EndElements()
	if b.Messages() < 10 {
		t.Errorf("%d elements went into %d messages", n, b.Messages())
	}
	must(t, c.Commit(&b))
	seen := map[string]bool{}
	count := func(e *Element) error {
		if !bytes.Equal(e.Key, e.Userdata) {
			t.Errorf("element %x has userdata %x", e.Key, e.Userdata)
		}
		seen[string(e.Key)] = true
		return nil
	}
	must(t, c.DumpElements(ref, count))
	if len(seen) != n {
		t.Errorf("dump gives %d elements, want %d", len(seen), n)
	}
	clear(seen)
	must(t, c.GetElements(ref, keys[:3000], count))
	if len(seen) != 3000 {
		t.Errorf("get gives %d elements, want 3000", len(seen))
	}
}

func TestResetsGiveAndClearCounters(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	addRules(&b, 3)
	must(t, c.Commit(&b))
	counters := func(dump func(uint8, string, string, func(*RuleView) error) error) (sum uint64) {
		must(t, dump(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error {
			for e := NewExprs(r.Expressions); e.Next(); {
				if e.Expr().Name == "counter" {
					p, _ := e.Expr().Counter()
					sum += p
				}
			}
			return nil
		}))
		return sum
	}
	if got := counters(c.ResetRules); got != 3 {
		t.Errorf("reset gives counters of %d packets, want 3", got)
	}
	if got := counters(c.DumpRules); got != 0 {
		t.Errorf("after the reset counters have %d packets", got)
	}
}

func TestCompatRevision(t *testing.T) {
	c := testConn(t)
	for _, tt := range []struct {
		name     string
		isTarget bool
		rev      uint8
		want     bool
	}{
		{"tcp", false, 0, true},
		{"tcp", false, 9, false},
		{"conntrack", false, 3, true},
		{"REJECT", true, 0, true},
		{"REJECT", false, 0, false},
		{"nosuchmatch", false, 0, false},
	} {
		got, err := c.CompatRevision(NFPROTO_IPV4, tt.name, tt.isTarget, tt.rev)
		if err != nil || got != tt.want {
			t.Errorf("%s target %v revision %d: %v, %v; want %v", tt.name, tt.isTarget, tt.rev, got, err, tt.want)
		}
	}
}

func TestDumpOfWhatIsNotThere(t *testing.T) {
	c := testConn(t)
	never := func(*RuleView) error { return errors.New("a rule in an empty ruleset") }
	must(t, c.DumpRules(NFPROTO_IPV4, "nosuch", "nosuch", never))
	must(t, c.DumpRules(NFPROTO_UNSPEC, "", "", never))
	err := c.DumpSets(NFPROTO_IPV4, "nosuch", func(*Set) error { return nil })
	if !IsNotFound(err) {
		t.Errorf("sets of no table: %v", err)
	}
	err = c.DumpElements(SetRef{Family: NFPROTO_IPV4, Table: "nosuch", Set: "s"}, func(*Element) error { return nil })
	if !IsNotFound(err) {
		t.Errorf("elements of no set: %v", err)
	}
	const want = "get chain INPUT of table ip filter: no such file or directory"
	if _, err := c.GetChain(NFPROTO_IPV4, "filter", "INPUT"); !IsNotFound(err) || err.Error() != want {
		t.Errorf("chain of no table: %v, want %s", err, want)
	}
}
