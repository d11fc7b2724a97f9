package session

// OnConsole reports whether the caller works at the machine itself: its
// controlling terminal is a console or a serial line, or a pseudo terminal that
// a program on one plays (sudo), and there is no session. A multiplexer that
// was left hides where its terminals are looked at from, so that it is none.
func (c Caller) OnConsole() bool {
	f := newFinder(c)
	self, ok := f.process(c.PID)
	if !ok || self.tty == 0 {
		return false
	}
	p := self
	for depth := 0; !isConsole(p.tty); depth++ {
		if p, ok = f.process(p.parent); !ok || depth == maxDepth {
			return false
		}
	}
	list, err := Of(c)
	return err == nil && len(list) == 0
}
