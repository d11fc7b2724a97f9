package session

import "testing"

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("4711 (tmux: server) S 1 4711 4711 0 -1 4194368"))
	f.Add([]byte("12 (a) b) (c) R 3 4 5 34816 6"))
	f.Add([]byte("1 () S"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseStat(b); ok && (p.pid < 0 || p.parent < 0 || p.session < 0) {
			t.Fatalf("%q gives %+v", b, p)
		}
	})
}

func FuzzSSHConnection(f *testing.F) {
	f.Add("203.0.113.7 50522 198.51.100.2 22")
	f.Add("::ffff:203.0.113.7 50522 ::ffff:198.51.100.2 22")
	f.Add("fe80::7%eth0 50522 fe80::2%eth0 22")
	f.Add("UNKNOWN 65535 UNKNOWN 65535")
	f.Fuzz(func(t *testing.T, v string) {
		s, ok := sshConnection([]string{"SSH_CONNECTION=" + v})
		if ok && (!s.Client.IsValid() || !s.Server.IsValid() || s.Client.Port() == 0 || s.Server.Port() == 0 || s.Client.Addr().Is4In6()) {
			t.Fatalf("%q gives %+v", v, s)
		}
	})
}
