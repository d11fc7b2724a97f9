package netdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

// Set is what the kernel's ipset answers about one of its sets. Rules keep the
// index; people know the name.
type Set struct {
	Name   string
	Index  uint16
	Family uint8 // AF_INET, AF_INET6, or AF_UNSPEC for a set of any family
}

// SetTable answers questions about the sets of ipset(8).
type SetTable interface {
	// ByName finds a set; ErrNoSet if there is none of that name.
	ByName(name string) (Set, error)
	// ByIndex gives the name of a set; ErrNoSet if there is none with that index.
	ByIndex(index uint16) (name string, err error)
}

// ErrNoSet is the answer where the kernel has no such set.
var ErrNoSet = errors.New("there is no such set")

// SetByName finds a set of ipset by its name.
func (d *DB) SetByName(name string) (Set, error) {
	for _, s := range d.sets {
		if s.Name == name && s.Family != unknownFamily {
			return s, nil
		}
	}
	s, err := d.setTable().ByName(name)
	if err == nil {
		d.sets = append(d.sets, s)
	}
	return s, err
}

// SetName is the name of the set with an index, "" where there is none or the
// kernel does not tell.
func (d *DB) SetName(index uint16) string {
	for _, s := range d.sets {
		if s.Index == index {
			return s.Name
		}
	}
	name, err := d.setTable().ByIndex(index)
	if err != nil {
		return ""
	}
	d.sets = append(d.sets, Set{name, index, unknownFamily})
	return name
}

// unknownFamily stands in sets that were only asked for by index.
const unknownFamily = 0xff

func (d *DB) setTable() SetTable {
	if d.Sets != nil {
		return d.Sets
	}
	return kernelSets{}
}

// kernelSets asks the kernel by the socket option SO_IP_SET of
// linux/netfilter/ipset/ip_set.h, in the network namespace of the calling thread.
type kernelSets struct{}

// Numbers of ip_set.h. Requests begin with operation and version, 32 bits each
// in host order; the union of name and index is 32 bytes long.
const (
	soIPSet         = 83
	opGetByIndex    = 7
	opGetFamily     = 8
	opVersion       = 0x100
	maxSetName      = 32
	invalidSetIndex = 65535
)

func (kernelSets) ByName(name string) (Set, error) {
	if len(name) >= maxSetName {
		return Set{}, ErrNoSet
	}
	var req [44]byte // struct ip_set_req_get_set_family: operation, version, family, union
	copy(req[12:], name)
	if err := askSet(opGetFamily, req[:]); err != nil {
		return Set{}, err
	}
	s := Set{Name: name, Index: binary.NativeEndian.Uint16(req[12:]), Family: uint8(binary.NativeEndian.Uint32(req[8:]))}
	if s.Index == invalidSetIndex {
		return Set{}, ErrNoSet
	}
	return s, nil
}

func (kernelSets) ByIndex(index uint16) (string, error) {
	var req [40]byte // struct ip_set_req_get_set: operation, version, union
	binary.NativeEndian.PutUint16(req[8:], index)
	if err := askSet(opGetByIndex, req[:]); err != nil {
		return "", err
	}
	n := 8
	for n < len(req) && req[n] != 0 {
		n++
	}
	if n == 8 {
		return "", ErrNoSet
	}
	return string(req[8:n]), nil
}

// askSet fills in operation and version of a request and puts it; the answer
// replaces the request.
func askSet(op uint32, req []byte) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("cannot ask the kernel for its sets: %w", err)
	}
	defer syscall.Close(fd)
	var version [8]byte
	binary.NativeEndian.PutUint32(version[:], opVersion)
	if err := getSetOption(fd, version[:]); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(req, op)
	copy(req[4:8], version[4:8])
	return getSetOption(fd, req)
}

func getSetOption(fd int, b []byte) error {
	n := uint32(len(b))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_IP, soIPSet,
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return fmt.Errorf("asking the kernel for its sets: %w", errno)
	}
	return nil
}
