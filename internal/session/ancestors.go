package session

// Ancestors names the programs (comm, see proc_pid_comm(5)) that the caller was
// started by, the nearest first. A script has its own name there.
func (c Caller) Ancestors() (names []string) {
	f := newFinder(c)
	p, ok := f.process(c.PID)
	for range maxDepth {
		if !ok || p.parent == 0 {
			break
		}
		if p, ok = f.process(p.parent); ok {
			names = append(names, p.comm)
		}
	}
	return names
}
