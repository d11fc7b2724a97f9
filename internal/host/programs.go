package host

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// namePrograms finds for each socket a process that has it open: the lowest
// number wins, which is the parent where children share a socket. Processes
// that this one may not look into, or that end meanwhile, are passed over.
func namePrograms(list []Listener) {
	byInode := make(map[uint32][]*Listener, len(list))
	for i := range list {
		if list[i].inode != 0 {
			byInode[list[i].inode] = append(byInode[list[i].inode], &list[i])
		}
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		eachSocket("/proc/"+p.Name()+"/fd", func(inode uint32) {
			for _, l := range byInode[inode] {
				if l.PID == 0 || pid < l.PID {
					l.PID, l.Program = pid, programName(p.Name())
				}
			}
		})
	}
}

// eachSocket gives the inode of each link "socket:[INODE]" in a folder.
func eachSocket(dir string, each func(inode uint32)) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		to, err := os.Readlink(dir + "/" + f.Name())
		if err != nil {
			continue
		}
		if s, ok := strings.CutPrefix(to, "socket:["); ok {
			if n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 32); err == nil {
				each(uint32(n))
			}
		}
	}
}

// programName is the command name of a process, see proc(5): comm. Every process
// names itself, so that what is no letter of a name is "?": names are printed on
// terminals, and into files of rules.
func programName(pid string) string {
	b, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, string(bytes.TrimSuffix(b, []byte("\n"))))
}
