package nft

import (
	"bytes"
	"errors"
	"testing"
)

// encoded gives a batch of every kind of object, as sent.
func encoded(f *testing.F) []byte {
	f.Helper()
	var b Batch
	addFilter(&b)
	b.RenameChain(NFPROTO_IPV4, "filter", 3, "new")
	addRules(&b, 2)
	b.AddRule(RuleReplace, &RuleHeader{Family: NFPROTO_IPV6, Table: "t", Chain: "c", Handle: 5,
		Compat: &RuleCompat{Proto: 6, Flags: NFT_RULE_COMPAT_F_INV}, Userdata: []byte("comment")}, nil)
	b.AddSet(0, &Set{Family: NFPROTO_INET, Table: "t", Name: "s", Flags: NFT_SET_MAP, KeyLen: 8, Size: 9,
		Fields: []uint32{4, 2}, DataType: NFT_DATA_VERDICT, Userdata: []byte("u"), Timeout: 1, GC: 2})
	b.AddElements(0, SetRef{Family: NFPROTO_INET, Table: "t", Set: "s"}, []Element{
		{Key: []byte{1, 2, 3, 4}, KeyEnd: []byte{2, 3, 4, 5}, HasVerdict: true, Verdict: NFT_GOTO, Chain: "c"},
		{Flags: NFT_SET_ELEM_CATCHALL, Data: []byte{9}, Userdata: []byte("u"), Timeout: 7, ObjRef: "o"},
	})
	parts, err := b.parts()
	if err != nil {
		f.Fatal(err)
	}
	return bytes.Clone(bytes.Join(parts, nil))
}

// decodeAny decodes a message as every kind of object.
func decodeAny(m Message) error {
	var (
		t  Table
		ch Chain
		r  RuleView
		s  Set
	)
	err := errors.Join(t.Decode(m), ch.Decode(m), r.Decode(m), s.Decode(m),
		DecodeElements(m, func(*Element) error { return nil }))
	for e := NewExprs(r.Expressions); e.Next(); {
		_ = e.Expr().Name
	}
	return err
}

// FuzzMessages holds that any bytes are decoded or refused with ErrMalformed.
func FuzzMessages(f *testing.F) {
	f.Add(encoded(f))
	f.Add([]byte{20, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, p []byte) {
		before := bytes.Clone(p)
		for rest := p; len(rest) > 0; {
			fr, next, err := nextFrame(rest)
			if err != nil {
				break
			}
			if len(next) >= len(rest) {
				t.Fatal("the walk does not go on")
			}
			if m, err := fr.message(); err == nil {
				if err := decodeAny(m); err != nil && !errors.Is(err, ErrMalformed) {
					t.Errorf("decoding gives %v", err)
				}
			}
			if _, err := fr.errorReply(); err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("decoding gives %v", err)
			}
			msg := rest[:len(rest)-len(next)]
			for _, offset := range []int{0, 20, 24, 33, len(msg), len(msg) + 1} {
				attrPath(msg, offset)
			}
			describe(msg)
			rest = next
		}
		if !bytes.Equal(p, before) {
			t.Error("decoding changed its input")
		}
	})
}

// FuzzElement holds that an element is read as it was written.
func FuzzElement(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, []byte(nil), []byte("user"), "chain", int32(-3), uint32(1), uint64(9))
	f.Fuzz(func(t *testing.T, key, data, user []byte, chain string, verdict int32, flags uint32, timeout uint64) {
		if len(key)+len(data)+len(user)+len(chain) > 4096 || bytes.IndexByte([]byte(chain), 0) >= 0 {
			return
		}
		want := Element{Flags: flags, Timeout: timeout}
		if len(key) > 0 {
			want.Key = key
		}
		if len(user) > 0 {
			want.Userdata = user
		}
		if len(data) > 0 {
			want.Data = data
		} else {
			want.HasVerdict, want.Verdict, want.Chain = true, verdict, chain
		}
		var b Batch
		b.AddElements(0, SetRef{Table: "t", Set: "s"}, []Element{want})
		var at cursor
		fr, _, err := nextFrame(at.find(&b, 0))
		must(t, err)
		m, err := fr.message()
		must(t, err)
		n := 0
		must(t, DecodeElements(m, func(got *Element) error {
			if n++; !sameElement(got, &want) {
				t.Errorf("read %+v, written %+v", *got, want)
			}
			return nil
		}))
		if n != 1 {
			t.Errorf("%d elements read, 1 written", n)
		}
	})
}

func sameElement(a, b *Element) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Userdata, b.Userdata) &&
		a.HasVerdict == b.HasVerdict && a.Verdict == b.Verdict && a.Chain == b.Chain &&
		a.Flags == b.Flags && a.Timeout == b.Timeout
}
