package question

import (
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"
)

// FuzzQuestion: nothing panics, errors have a column within the text, and a
// question that is read is read back from what it prints.
func FuzzQuestion(f *testing.F) {
	for _, s := range []string{
		"tcp 203.0.113.7:50000 -> 198.51.100.2:22 in eth0",
		"udp [2001:db8::7]:5 -> [2001:db8::2]:53 in a out b payload 0x00ff with limit=yes,recent=no",
		"icmp 192.0.2.1 -> 192.0.2.2 type 3 code 4 hook FORWARD mark 0x1",
		"tcp 192.0.2.1 -> 192.0.2.2:80 state ESTABLISHED flags SYN,ACK ctstatus ASSURED option 3,8 mss 1460 tos Minimize-Delay",
		"udp ::2 -> ::3 frag headers dst,auth pkttype other physin p physout none cgroup a/b",
		`47 1.2.3.4 to 5.6.7.8 original 1.2.3.4 -> 5.6.7.9 in "a b" helper "x y" payload "\xff"`,
		"tcp from 10.0.0.0/8 to any:1-1024,ssh in eth+ state any",
		"sctp 1.2.3.4:1 -> 5.6.7.8:2 chunks INIT,7 uid 1 gid 2 mac 00:01:02:03:04:05",
	} {
		f.Add(s)
	}
	db := names(f)
	f.Fuzz(func(t *testing.T, s string) {
		if _, r, err := ParseEither(s, Options{Names: db}); err == nil && r == nil {
			if _, err := Parse(s, Options{Names: db}); err != nil {
				t.Fatalf("%q is one packet, but not for Parse: %v", s, err)
			}
		}
		q, err := Parse(s, Options{Names: db})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Column < 1 || e.Column > utf8.RuneCountInString(s)+1 {
				t.Fatalf("%q: %#v", s, err)
			}
			return
		}
		again, err := Parse(q.String(), Options{Names: db})
		if err != nil {
			t.Fatalf("%q is printed as %q, which is not read: %v", s, q, err)
		}
		if !reflect.DeepEqual(q, again) {
			t.Fatalf("%q is printed as %q and read back as %q\n%+v\n%+v", s, q, again, q, again)
		}
	})
}
