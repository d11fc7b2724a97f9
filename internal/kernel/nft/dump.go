package nft

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// aheadAfter is how many full buffers a dump gives before a goroutine of
	// its own receives while the caller decodes: small dumps do not pay for it.
	aheadAfter = 4

	// aheadBuffers is how many buffers that goroutine may be ahead.
	aheadBuffers = 8

	// fullBuffer is what the kernel fills of a buffer when there is more to
	// come: all but one message.
	fullBuffer = dumpBuffer / 2
)

// errDumpDone says that the kernel has told everything.
var errDumpDone = errors.New("end of dump")

// dump sends the request in c.req, which has NLM_F_DUMP, and calls each with
// all messages of the answer. ErrStop from each ends it early without error.
// ErrInterrupted: the ruleset changed meanwhile.
func (c *Conn) dump(each func(Message) error) error {
	if err := c.send(); err != nil {
		return err
	}
	c.partial = true
	d := dumpState{conn: c, each: each}
	err := d.run()
	switch {
	case errors.Is(err, errDumpDone):
		c.partial = false
		if d.interrupted {
			return ErrInterrupted
		}
		return nil
	case d.ended:
		c.partial = false
	}
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// dumpState is a dump in progress.
type dumpState struct {
	conn        *Conn
	each        func(Message) error
	interrupted bool
	ended       bool // the kernel has told everything or refused
}

// run receives and decodes until an error, errDumpDone at the last.
func (d *dumpState) run() error {
	for full := 0; ; {
		if full == aheadAfter && runtime.GOMAXPROCS(0) > 1 {
			return d.runAhead()
		}
		p, err := d.conn.receive(d.conn.buffer())
		if err != nil {
			return err
		}
		if err := d.messages(p); err != nil {
			return err
		}
		if len(p) >= fullBuffer {
			full++
		}
	}
}

// received is one datagram, or the error instead of it.
type received struct {
	p   []byte
	err error
}

// runAhead is run with the receiving, which is where the kernel walks its
// rules, in a goroutine beside the decoding. That goroutine has ended when
// runAhead returns.
func (d *dumpState) runAhead() error {
	free := make(chan []byte, aheadBuffers)
	filled := make(chan received, aheadBuffers)
	for range aheadBuffers {
		free <- make([]byte, dumpBuffer)
	}
	go func() {
		defer close(filled)
		for p := range free {
			got, err := d.conn.receive(p)
			filled <- received{got, err}
			if err != nil || endsDump(got, d.conn.seq) {
				return
			}
		}
	}()
	err := error(ErrNoAnswer)
	for r := range filled {
		if err = r.err; err == nil {
			err = d.messages(r.p)
		}
		if err != nil {
			break
		}
		free <- r.p[:dumpBuffer]
	}
	close(free)
	for range filled { // until the goroutine has ended
	}
	return err
}

// endsDump asks whether a datagram holds the end of the dump or an error.
func endsDump(p []byte, seq uint32) bool {
	for len(p) > 0 {
		f, rest, err := nextFrame(p)
		if err != nil {
			return true
		}
		if f.seq == seq && (f.typ == unix.NLMSG_DONE || f.typ == unix.NLMSG_ERROR) {
			return true
		}
		p = rest
	}
	return false
}

// messages decodes one datagram.
func (d *dumpState) messages(p []byte) error {
	for len(p) > 0 {
		f, rest, err := nextFrame(p)
		if err != nil {
			return err
		}
		p = rest
		if f.seq != d.conn.seq {
			continue // the rest of an earlier request
		}
		if f.flags&unix.NLM_F_DUMP_INTR != 0 {
			d.interrupted = true
		}
		if f.typ == unix.NLMSG_DONE {
			return d.done(f)
		}
		d.ended = f.typ == unix.NLMSG_ERROR
		if err := d.conn.answer(f, "", d.each); err != nil {
			return err
		}
	}
	return nil
}

// done reads NLMSG_DONE, whose body may begin with an error of the dump.
func (d *dumpState) done(f frame) error {
	d.ended = true
	switch errno := errnoOf(f.body); errno {
	case 0:
		return errDumpDone
	case unix.EINTR:
		d.interrupted = true
		return errDumpDone
	default:
		return newKernelError(describe(d.conn.req.b), errorReply{errno: errno, missing: -1})
	}
}
