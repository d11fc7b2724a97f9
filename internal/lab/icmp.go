package lab

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// The ICMP types that a ping needs (UAPI: linux/icmp.h, linux/icmpv6.h).
const (
	icmpEchoReply     = 0
	icmpEchoRequest   = 8
	icmpv6EchoRequest = 128
	icmpv6EchoReply   = 129
)

// ping sends one echo request and waits for its reply.
func (p Probe) ping() Result {
	r := Result{State: Open}
	if err := p.echo(); err != nil {
		r = resultOf(err, p.Wait)
	}
	return r
}

func (p Probe) echo() error {
	to, err := netip.ParseAddr(p.To)
	if err != nil {
		return fmt.Errorf("ping %q: want an address", p.To)
	}
	c, err := p.rawConn(to)
	if err != nil {
		return err
	}
	// Nothing is written behind the deadline.
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(p.Wait)); err != nil {
		return err
	}
	request := echoRequest(to)
	if _, err := c.Write(request); err != nil {
		return err
	}
	return awaitReply(c, to, request)
}

// rawConn opens a raw ICMP socket connected to one address. The protocol is
// given by number, so that /etc/protocols is not needed.
func (p Probe) rawConn(to netip.Addr) (*net.IPConn, error) {
	network := "ip4:1"
	if to.Is6() {
		network = "ip6:58"
	}
	var from *net.IPAddr
	if p.Source != "" {
		ap, err := parseSource(p.Source)
		if err != nil {
			return nil, err
		}
		from = &net.IPAddr{IP: ap.Addr().AsSlice(), Zone: ap.Addr().Zone()}
	}
	return net.DialIP(network, from, &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()})
}

// echoRequest gives a request with random id and payload. The kernel fills in
// the checksum of ICMPv6, whose pseudo header only it knows.
func echoRequest(to netip.Addr) []byte {
	b := append([]byte{icmpEchoRequest, 0, 0, 0}, rand.Text()...) // id and sequence are the first 4 letters
	if to.Is6() {
		b[0] = icmpv6EchoRequest
		return b
	}
	binary.BigEndian.PutUint16(b[2:], checksum(0, b))
	return b
}

// awaitReply reads until the reply with the request's id, sequence and
// payload comes. ReadFrom strips the IPv4 header, Read does not.
func awaitReply(c *net.IPConn, to netip.Addr, request []byte) error {
	reply := byte(icmpEchoReply)
	if to.Is6() {
		reply = icmpv6EchoReply
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if b := buf[:n]; n >= 8 && b[0] == reply && bytes.Equal(b[4:], request[4:]) {
			return nil
		}
	}
}
