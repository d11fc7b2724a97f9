package report

import (
	"bytes"
	"net/netip"
	"os"
	"testing"

	"moat/internal/analyze"
	"moat/internal/host"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/rulesets"
)

// services is a DB with a few services, whatever this host's files have.
func services(t *testing.T) *netdb.DB {
	t.Helper()
	dir := t.TempDir()
	const list = "ssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\npostgresql 5432/tcp\n"
	if err := os.WriteFile(dir+"/services", []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	return &netdb.DB{Etc: dir}
}

func TestExposureText(t *testing.T) {
	get := func(name string, f rule.Family) string {
		file, err := rulesets.Get(name, f)
		if err != nil {
			t.Fatal(err)
		}
		return file.Text
	}
	listeners := []host.Listener{
		{Proto: 6, Addr: netip.IPv6Unspecified(), Port: 22, Program: "sshd", PID: 77},
		{Proto: 6, Addr: netip.IPv4Unspecified(), Port: 80, Program: "nginx", PID: 88}, {Proto: 6, Addr: netip.MustParseAddr("127.0.0.1"), Port: 443, Program: "inner"},
	}
	for _, c := range []struct {
		file      string
		texts     []string
		listeners []host.Listener
	}{
		{"tutorial.txt", []string{tutorial}, nil},
		{"late.txt", []string{blockedLast()}, listeners},
		{"web.txt", []string{get("web", rule.IPv4), get("web", rule.IPv6)}, listeners},
		{"ufw.txt", []string{get("ufw", rule.IPv4)}, nil},
		{"router.txt", []string{get("router", rule.IPv4)}, nil},
		{"docker.txt", []string{get("docker", rule.IPv4)}, nil},
		{"closed.txt", []string{"*filter\n:INPUT DROP [0:0]\nCOMMIT\n"}, nil},
	} {
		var subjects []*analyze.Subject
		for i, text := range c.texts {
			subjects = append(subjects, subject(t, [...]string{"rules.v4", "rules.v6"}[i], text))
		}
		e := analyze.NewExposure(subjects, c.listeners)
		o := ExposureOptions{Names: services(t)}
		var out bytes.Buffer
		if err := ExposureText(&out, e, o); err != nil {
			t.Fatal(err)
		}
		golden(t, "exposure/"+c.file, out.Bytes())
		if c.file != "late.txt" {
			continue
		}
		out.Reset()
		if err := ExposureJSON(&out, e, o); err != nil {
			t.Fatal(err)
		}
		golden(t, "exposure/late.json", out.Bytes())
	}
}
