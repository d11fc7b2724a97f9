package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Host is one network namespace with what runs in it.
type Host struct {
	Name string

	lab *Lab
	ns  *os.File // holds the namespace

	mu     sync.Mutex
	open   map[io.Closer]struct{} // servers, connections, watches, children
	closed bool
}

// newHost makes the namespace, brings lo up and sets the sysctls.
func newHost(l *Lab, name string) (*Host, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	h := &Host{Name: name, lab: l, ns: ns, open: make(map[io.Closer]struct{})}
	err = h.Do(func() error {
		if err := setSysctls(quiet); err != nil {
			return err
		}
		return linkUp("lo")
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host %s: %w", name, err), ns.Close())
	}
	return h, nil
}

// newNamespace makes a network namespace and gives a descriptor that holds
// it. The calling thread is in its own namespace again afterwards.
func newNamespace() (ns *os.File, err error) {
	err = onLentThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return ns, err
}

// Do runs f with the calling goroutine locked to a thread that is in the
// host's namespace. Sockets that f makes belong to the host, also after f;
// goroutines that f starts do not run there. Calls may be nested.
func (h *Host) Do(f func() error) error {
	return onLentThread(func() error {
		if err := enter(h.ns, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name, err)
		}
		return f()
	})
}

// onLentThread runs f on the locked thread of the caller and puts the thread
// back into its network namespace. If that fails the thread stays locked, so
// that the runtime ends it together with the goroutine instead of lending it
// to others.
func onLentThread(f func() error) (err error) {
	runtime.LockOSThread()
	origin, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		back := enter(origin, unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		} else {
			back = fmt.Errorf("leave the lab's namespace: %w", back)
		}
		err = errors.Join(err, back, origin.Close())
	}()
	return f()
}

// enter moves the calling thread into the namespace that f holds.
func enter(f *os.File, kind int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) { setErr = unix.Setns(int(fd), kind) })
	return errors.Join(err, setErr)
}

// NamespacePath gives a path by which another process of the same user can
// open the namespace while this process lives.
func (h *Host) NamespacePath() (string, error) {
	raw, err := h.ns.SyscallConn()
	if err != nil {
		return "", err
	}
	var path string
	err = raw.Control(func(fd uintptr) { path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd) })
	return path, err
}

// keep remembers what must be closed with the host.
func (h *Host) keep(c io.Closer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.Join(fmt.Errorf("host %s is closed", h.Name), c.Close())
	}
	h.open[c] = struct{}{}
	return nil
}

// forget takes back a keep.
func (h *Host) forget(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

// close ends what runs on the host and lets the namespace go.
func (h *Host) close() error {
	h.mu.Lock()
	open := h.open
	h.open, h.closed = nil, true
	h.mu.Unlock()
	var errs []error
	for c := range open {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, h.ns.Close())...)
}

// sysctl is one file under /proc/sys/net and what a lab host has in it.
type sysctl struct{ path, value string }

// quiet makes a fresh namespace the same on every machine: the kernel copies
// some of these from the machine's own settings. Without source validation
// spoofed packets arrive; without rate limits every refusal is answered;
// without duplicate address detection IPv6 addresses work at once.
var quiet = []sysctl{
	{"ipv4/ip_forward", "0"},
	{"ipv4/conf/all/rp_filter", "0"},
	{"ipv4/conf/default/rp_filter", "0"},
	{"ipv4/conf/lo/rp_filter", "0"},
	{"ipv4/icmp_ratelimit", "0"},
	{"ipv4/icmp_echo_ignore_all", "0"},
	{"ipv6/conf/all/disable_ipv6", "0"},
	{"ipv6/conf/default/disable_ipv6", "0"},
	{"ipv6/conf/lo/disable_ipv6", "0"},
	{"ipv6/conf/default/accept_dad", "0"},
	{"ipv6/conf/default/accept_ra", "0"},
	{"ipv6/icmp/ratelimit", "0"},
}

// forwarding makes a router.
var forwarding = []sysctl{
	{"ipv4/ip_forward", "1"},
	{"ipv6/conf/all/forwarding", "1"},
	{"ipv6/conf/default/forwarding", "1"},
}

// setSysctls writes settings of the calling thread's namespace. A file that
// this kernel does not have (no IPv6) is left out: what needs it fails with
// its own error.
func setSysctls(settings []sysctl) error {
	for _, s := range settings {
		f, err := os.OpenFile("/proc/sys/net/"+s.path, os.O_WRONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(s.value)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// SetSysctl writes a setting below net, such as "ipv4/ip_forward".
func (h *Host) SetSysctl(path, value string) error {
	return h.lab.failed(h.Do(func() error {
		if _, err := os.Stat("/proc/sys/net/" + path); err != nil {
			return err
		}
		return setSysctls([]sysctl{{path, value}})
	}))
}

// Forward makes the host forward IPv4 and IPv6.
func (h *Host) Forward() error {
	return h.lab.failed(h.Do(func() error { return setSysctls(forwarding) }))
}

// linkUp sets IFF_UP on an interface of the calling thread's namespace.
func linkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("interface %s up: %w", name, err)
	}
	return nil
}
