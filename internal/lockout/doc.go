// Package lockout holds what is promised to whoever works on a host over SSH: a
// command that would cut the session off, or bar the next login, is refused and
// changes nothing; the remedy that the refusal names makes it safe; and what is
// in no danger is obeyed without a word. It has only tests, with a real sshd and
// ssh: a table of commands, and programs that change the firewall by themselves
// (ufw, fail2ban, Docker).
package lockout
