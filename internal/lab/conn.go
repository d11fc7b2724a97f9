package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Conn is a TCP connection that a lab holds open.
type Conn struct {
	host *Host
	conn net.Conn

	mu sync.Mutex // one round trip at a time
	r  *bufio.Reader
}

// Dial opens a connection by a TCP probe and keeps it until it or the lab is
// closed. One echo has gone through it when Dial returns.
func (h *Host) Dial(p Probe) (*Conn, error) {
	if p.Wait == 0 {
		p.Wait = LongWait
	}
	c, err := h.dial(p)
	if err != nil {
		return nil, h.lab.failed(fmt.Errorf("%s: open %v: %w", h.Name, p, err))
	}
	return c, nil
}

func (h *Host) dial(p Probe) (*Conn, error) {
	if p.Proto != "tcp" {
		return nil, errors.New("only tcp has connections")
	}
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = p.dial(time.Now().Add(p.Wait))
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &Conn{host: h, conn: conn, r: bufio.NewReader(conn)}
	if r := c.Alive(p.Wait); r.State != Open {
		return nil, errors.Join(fmt.Errorf("connected, then %v", r), conn.Close())
	}
	return c, h.keep(c)
}

// Alive sends a line through the connection and says if its echo came within
// wait: Open, Silent or Refused (closed by the other side). When packets were
// held back before, the kernel sends them again after about as long as that
// has lasted, not at once: wait has to be longer.
func (c *Conn) Alive(wait time.Duration) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	r, err := roundTrip(c.conn, c.r, start.Add(wait))
	if err != nil {
		r = resultOf(err, wait)
	}
	r.Took = time.Since(start)
	return r
}

// LocalAddr gives the client's side of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// Close closes the connection.
func (c *Conn) Close() error {
	c.host.forget(c)
	return c.conn.Close()
}
