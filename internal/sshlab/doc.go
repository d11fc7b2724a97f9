// Package sshlab is a lab whose server is reached as servers are: by Debian's
// sshd and ssh. Tests use it to see whether somebody who works on a host over
// SSH is cut off, or comes back.
//
//	func TestMain(m *testing.M) { os.Exit(sshlab.Main(m)) }
//
//	l := sshlab.New(t)          // client - router - server, IPv4 and IPv6
//	sh := l.Login("4")          // a session that stays
//	r := sh.Run("iptables -P INPUT DROP")
//	if !sh.Alive() || !l.CanLogin("4") { … }
//	l.Console("iptables -P INPUT ACCEPT") // not over SSH
//
// On the server every program of Moat stands in /usr/local/sbin, and behind the
// names of Debian's iptables, which others call by their full path. What Moat
// keeps (/etc/iptables, /etc/moat, /var/lib/moat, /run/moat) is the lab's own.
//
// sshd needs a real root: in a user namespace the tests are skipped.
package sshlab
