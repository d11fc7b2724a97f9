package session

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLinksOfManyDescriptors has more of them than the kernel tells of at once.
func TestLinksOfManyDescriptors(t *testing.T) {
	crowd(t)
	got := newFinder(Here()).links(os.Getpid())
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || !strings.HasPrefix(to, "socket:[") {
			continue // also the one that was this folder
		}
		sockets++
		if !slices.ContainsFunc(got, func(l link) bool {
			return strconv.Itoa(l.fd) == e.Name() && to == "socket:["+strconv.Itoa(int(l.inode))+"]"
		}) {
			t.Errorf("descriptor %s, %s, is not found", e.Name(), to)
		}
	}
	if sockets < 500 || len(got) != sockets {
		t.Errorf("%d sockets of %d", len(got), sockets)
	}
}

// TestProcessIsReadInLittleMemory holds what every command pays for each of its
// ancestors to the program's name.
func TestProcessIsReadInLittleMemory(t *testing.T) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { parseStat(stat) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
