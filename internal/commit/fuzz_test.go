package commit

import (
	"bytes"
	"testing"
)

// FuzzMerge holds that no text makes the way back fail, and what it is when
// nobody else changed anything: the old rules.
func FuzzMerge(f *testing.F) {
	const old = "*filter\n:INPUT ACCEPT [1:2]\n:mine - [0:0]\n[3:4] -A INPUT -j mine\n[0:0] -A mine -j DROP\nCOMMIT\n"
	const made = "*filter\n:INPUT DROP [0:0]\n[0:0] -A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"
	f.Add(old, made, made)
	f.Add(old, made, "*filter\n:INPUT DROP [0:0]\n:f2b - [0:0]\n-A INPUT -j f2b\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n")
	f.Add("", made, old)
	f.Add("*nat\nCOMMIT\n*nat\n:X\n-A X\n", ":A ACCEPT\n-A A -j \n*", "# no\n\n*raw\n[1:1]\n[] -A\n")
	f.Fuzz(func(t *testing.T, old, made, now string) {
		merge([]byte(old), []byte(made), []byte(now), nil)
		text, notes := merge([]byte(old), []byte(made), []byte(made), nil)
		if len(notes) > 0 {
			t.Fatalf("%q, and of it %q: others are said to have done %q", old, made, notes)
		}
		for _, table := range parseSaved([]byte(old)) {
			if !bytes.Contains(text, []byte("*"+table.name+"\n")) {
				t.Fatalf("%q: table %q does not come back:\n%s", old, table.name, text)
			}
		}
	})
}
