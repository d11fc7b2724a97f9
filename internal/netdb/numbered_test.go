package netdb

import (
	"errors"
	"os"
	"testing"
)

func TestAccountsAndRealms(t *testing.T) {
	dir := etc(t, map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\n# a:b:7:\nann:x:1000:1000::/home/ann:\nbad:x:y:\nshort:x:5\nann2:x:1000:1::/:\n",
		"group":  "root:x:0:\nwheel:x:10:ann\n",
	})
	if err := os.MkdirAll(dir+"/iproute2", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/iproute2/rt_realms", []byte("#\n0 cosmos\n0x10 lab # ours\nx y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &DB{Etc: dir}
	for _, c := range []struct {
		byName func(string) (uint32, bool)
		byID   func(uint32) string
		name   string
		id     uint32
	}{
		{d.User, d.UserName, "root", 0}, {d.User, d.UserName, "ann", 1000}, {d.UserGroup, d.UserGroupName, "wheel", 10},
		{d.Realm, d.RealmName, "cosmos", 0}, {d.Realm, d.RealmName, "lab", 16},
	} {
		if id, ok := c.byName(c.name); !ok || id != c.id {
			t.Errorf("%s is %d %v, want %d", c.name, id, ok, c.id)
		}
		if name := c.byID(c.id); name != c.name {
			t.Errorf("%d is %q, want %q", c.id, name, c.name)
		}
	}
	for _, name := range []string{"bad", "short", "# a", "", "nosuch"} {
		if id, ok := d.User(name); ok {
			t.Errorf("user %q is %d", name, id)
		}
	}
	if name := (*DB)(nil).UserName(0); name != "" {
		t.Errorf("nobody's user 0 is %q", name)
	}
	if name := (&DB{Etc: dir + "/none"}).RealmName(0); name != "" {
		t.Errorf("without a file realm 0 is %q", name)
	}
}

// countedSets has one set and counts questions.
type countedSets struct{ asked int }

func (s *countedSets) ByName(name string) (Set, error) {
	s.asked++
	if name != "web" {
		return Set{}, ErrNoSet
	}
	return Set{Name: "web", Index: 7, Family: 2}, nil
}

func (s *countedSets) ByIndex(index uint16) (string, error) {
	s.asked++
	if index != 7 {
		return "", ErrNoSet
	}
	return "web", nil
}

func TestSetsAreAskedForOnce(t *testing.T) {
	sets := &countedSets{}
	d := &DB{Sets: sets}
	for range 3 {
		if name := d.SetName(7); name != "web" {
			t.Errorf("set 7 is %q", name)
		}
	}
	for range 3 { // the family was not known so far
		if s, err := d.SetByName("web"); err != nil || s != (Set{"web", 7, 2}) {
			t.Errorf("web is %+v, %v", s, err)
		}
	}
	if sets.asked != 2 {
		t.Errorf("asked %d times, want 2", sets.asked)
	}
	if _, err := d.SetByName("nosuch"); !errors.Is(err, ErrNoSet) {
		t.Errorf("nosuch: %v", err)
	}
	if name := d.SetName(8); name != "" {
		t.Errorf("set 8 is %q", name)
	}
	if _, err := (&DB{}).SetByName("a-name-that-is-longer-than-any-set-has"); !errors.Is(err, ErrNoSet) {
		t.Errorf("too long a name: %v", err)
	}
}
