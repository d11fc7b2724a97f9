package syslog

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLineComesAsTheCLibraryWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	if err := Send(path, at, Line{Auth, Warning, "moat", "a change was refused"}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 200)
	n, err := daemon.Read(got)
	want := fmt.Sprintf("<84>Mar  4 05:06:07 moat[%d]: a change was refused", os.Getpid())
	if err != nil || string(got[:n]) != want {
		t.Errorf("%q, %v; want %q", got[:n], err, want)
	}
}

func TestNobodyListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := Send(path, time.Now(), Line{}); !Nobody(err) {
		t.Errorf("without a socket: %v", err)
	}
	if err := Send(t.TempDir(), time.Now(), Line{}); err == nil {
		t.Error("a folder took the line")
	}
}
