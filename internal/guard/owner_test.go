package guard

import "testing"

// TestOwnerOfAnswersIsKnown has rules on the user of the server's socket, and
// asks the kernel whether it sees what the guard says.
func TestOwnerOfAnswersIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for _, c := range [...]struct {
		order   string
		refused bool
	}{
		{"iptables -A OUTPUT -p tcp -m owner --uid-owner 65534 -j DROP", false},
		{"iptables -A OUTPUT -p tcp -m owner --gid-owner 65534 -j DROP", false},
		{"iptables -A OUTPUT -p tcp -m owner ! --uid-owner 0 -j DROP", false},
		{"iptables -A OUTPUT -p tcp -m owner --uid-owner 0 -j DROP", true},
		{"iptables -A OUTPUT -p tcp -m owner --gid-owner 0 -j DROP", true},
		{"iptables -A OUTPUT -p tcp -m owner --socket-exists -j DROP", true},
	} {
		var r *Refusal
		var before string
		w.on(func() error {
			before = w.rules()
			r = w.order(c.order)
			return nil
		})
		switch said := w.said.String(); {
		case said != "":
			t.Errorf("%s: warned: %s", c.order, said)
		case c.refused != (r != nil):
			t.Errorf("%s: %v", c.order, r)
		case r != nil:
			w.insist(c.order, r, before)
		default:
			w.getsThrough(c.order)
		}
	}
}
