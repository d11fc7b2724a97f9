package ext

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpfPinned asks whether a BPF object is pinned at path: bpf(2), BPF_OBJ_GET.
func bpfPinned(path string) error {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	attr := struct { // union bpf_attr of linux/bpf.h, BPF_OBJ_GET
		pathname uint64
		fd       uint32
		flags    uint32
	}{pathname: uint64(uintptr(unsafe.Pointer(name)))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_GET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(name)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}
