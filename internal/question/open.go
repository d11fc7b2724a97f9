package question

// ParseOpen reads a set of packets as ParseRange does, but what is left out is
// any: no defaults, and the way is only told by its words. It is for packets
// that are taken out of another set. Errors are *Error.
func ParseOpen(s string, o Options) (*Range, error) {
	p, err := parse(s, o, false)
	if err != nil {
		return nil, err
	}
	return &p.r, nil
}
