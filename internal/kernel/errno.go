package kernel

import (
	"errors"

	"golang.org/x/sys/unix"
)

// errnoText is strerror(3) of the errors that nf_tables gives; Go's own texts
// are in lower case, and scripts compare.
func errnoText(e unix.Errno) string {
	for _, t := range errnoTexts {
		if t.errno == e {
			return t.text
		}
	}
	return e.Error()
}

// ErrnoText is strerror(3) of the errno in err, or err's own text without one.
func ErrnoText(err error) string {
	var e unix.Errno
	if errors.As(err, &e) {
		return errnoText(e)
	}
	return err.Error()
}

// errnoTexts are glibc's words.
var errnoTexts = [...]struct {
	errno unix.Errno
	text  string
}{
	{unix.EPERM, "Operation not permitted"},
	{unix.ENOENT, "No such file or directory"},
	{unix.E2BIG, "Argument list too long"},
	{unix.ENOMEM, "Cannot allocate memory"},
	{unix.EACCES, "Permission denied"},
	{unix.EBUSY, "Device or resource busy"},
	{unix.EEXIST, "File exists"},
	{unix.EINVAL, "Invalid argument"},
	{unix.ENFILE, "Too many open files in system"},
	{unix.EMFILE, "Too many open files"},
	{unix.ENOSPC, "No space left on device"},
	{unix.EMLINK, "Too many links"},
	{unix.ERANGE, "Numerical result out of range"},
	{unix.EDOM, "Numerical argument out of domain"},
	{unix.ELOOP, "Too many levels of symbolic links"},
	{unix.ENAMETOOLONG, "File name too long"},
	{unix.EOVERFLOW, "Value too large for defined data type"},
	{unix.ENOPROTOOPT, "Protocol not available"},
	{unix.EPROTONOSUPPORT, "Protocol not supported"},
	{unix.EOPNOTSUPP, "Operation not supported"},
	{unix.EAFNOSUPPORT, "Address family not supported by protocol"},
	{unix.ENODATA, "No data available"},
	{unix.EAGAIN, "Resource temporarily unavailable"},
	{unix.EINTR, "Interrupted system call"},
	{unix.ENODEV, "No such device"},
	{unix.ENOTDIR, "Not a directory"},
	{unix.EISDIR, "Is a directory"},
	{unix.EIO, "Input/output error"},
	{unix.EROFS, "Read-only file system"},
}
