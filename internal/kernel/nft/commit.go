package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Commit sends the batch in one system call and waits for the kernel's word.
// The kernel took all of it (nil) or nothing: *CommitError says which messages
// were at fault (IsStale: another writer was faster), *TooLargeError that the
// transaction is too long for this user. The batch is left as it was.
//
// Only the last message asks for an acknowledgement. The kernel answers in the
// order of the messages when all are done, and reports errors unasked, so that
// acknowledgement is the end of its answers. What concerns the whole batch (no
// permission, stale generation, a loop of jumps) it reports with the sequence
// number of the batch's begin. Flags on the begin and end of a batch are
// honoured by Linux 6.10 and later only.
func (c *Conn) Commit(b *Batch) error {
	if b.err != nil {
		return b.err
	}
	if b.count == 0 {
		return nil
	}
	if err := c.settle(); err != nil {
		return err
	}
	if err := c.extendAcks(); err != nil {
		return err
	}
	if b.count > defaultAcks || b.echoes > 0 {
		if err := c.growReceive(b.count*ackBytes + b.echoes*echoBytes); err != nil {
			return err
		}
	}
	if err := c.sendBatch(b); err != nil {
		return err
	}
	r := outcome{conn: c, batch: b}
	return r.read()
}

// sendBatch sends the batch, making the send buffer larger where needed.
func (c *Conn) sendBatch(b *Batch) error {
	parts, err := b.parts()
	if err != nil {
		return err
	}
	defer b.unseal()
	n := b.Size()
	if n > max(defaultSend, c.sndbuf) {
		if err := c.growSend(n); err != nil {
			return err
		}
	}
	for {
		_, err := unix.SendmsgBuffers(c.fd, parts, nil, nil, 0)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case err == unix.EMSGSIZE && c.sndbuf < n: // the default is smaller here
			if err := c.growSend(n); err != nil {
				return err
			}
		case err == unix.ENOBUFS || err == unix.ENOMEM:
			return fmt.Errorf("send a transaction of %d bytes: the kernel has no memory for it: %w", n, err)
		default:
			return fmt.Errorf("send a transaction of %d bytes: %w", n, err)
		}
	}
}

// outcome gathers the kernel's answers to one batch.
type outcome struct {
	conn   *Conn
	batch  *Batch
	at     cursor // place in the batch of the last error
	failed CommitError
	echo   error // of Batch.OnEcho
	echoed int   // echoes seen: they come only after the changes were made
	acked  bool
	whole  bool // the batch as a whole was refused
	lost   bool // the receive buffer ran over
}

// read reads answers up to the acknowledgement of the last message. After an
// error of the whole batch, or when answers were lost, it may not come: then
// up to the last answer there is.
func (o *outcome) read() error {
	for !o.acked || o.whole {
		p, err := o.conn.receive(o.conn.buffer())
		if errors.Is(err, unix.ENOBUFS) {
			o.lost = true
			continue
		}
		if errors.Is(err, ErrNoAnswer) {
			break
		}
		if err != nil {
			return err
		}
		if err := o.answers(p); err != nil {
			return err
		}
	}
	switch {
	case len(o.failed.Errors) > 0:
		o.failed.Lost = o.lost
		return &o.failed
	case o.echo != nil:
		return o.echo
	case o.acked, o.echoed > 0 && o.lost:
		return nil
	case o.lost:
		return fmt.Errorf("the kernel refused the transaction and its reasons were lost: %w", unix.ENOBUFS)
	}
	return ErrNoAnswer
}

// answers takes in one datagram.
func (o *outcome) answers(p []byte) error {
	for len(p) > 0 {
		var f frame
		var err error
		if f, p, err = nextFrame(p); err != nil {
			return err
		}
		switch {
		case f.seq > uint32(o.batch.count):
			// the rest of an earlier request
		case f.typ == unix.NLMSG_ERROR:
			err = o.verdict(f)
		default:
			err = o.echoMessage(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verdict takes in an acknowledgement or error.
func (o *outcome) verdict(f frame) error {
	r, err := f.errorReply()
	if err != nil {
		return err
	}
	last := f.seq == uint32(o.batch.count)
	o.acked = o.acked || last
	o.whole = o.whole || f.seq == 0
	if r.errno != 0 {
		o.failed.Errors = append(o.failed.Errors, o.failure(int(f.seq)-1, r))
	}
	return nil
}

// echoMessage gives the object of a message with NLM_F_ECHO to the caller.
func (o *outcome) echoMessage(f frame) error {
	m, err := f.message()
	if err != nil {
		return err
	}
	o.echoed++
	if o.batch.OnEcho != nil && o.echo == nil && f.seq > 0 {
		o.echo = o.batch.OnEcho(o.batch.tagOf(int(f.seq)-1), m)
	}
	return nil
}

// failure names the message of the batch that an error belongs to.
func (o *outcome) failure(index int, r errorReply) MessageError {
	e := MessageError{
		KernelError: *newKernelError("change the ruleset", r),
		Index:       index,
		Tag:         o.batch.tagOf(index),
	}
	if msg := o.at.find(o.batch, index); msg != nil {
		e.What = describe(msg)
		e.Path = attrPath(msg, r.offset)
	}
	return e
}
