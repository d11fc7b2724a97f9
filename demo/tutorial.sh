#!/bin/sh
# Securing a server with iptables, from the first command to the next reboot.
# Run it by `make demo`, which is: moat lab run demo/tutorial.sh
#
# It runs as root on a throwaway server. Each step shows the commands as an
# admin types them and then, by real connections, what they do. It ends with
# an exit code other than 0 as soon as something is not as it says.
#
# moat: listen tcp 22,80,443,3306,8800
# moat: probe tcp 22 from client expect open
# moat: probe tcp 80 from client expect open
# moat: probe tcp 443 from client expect open
# moat: probe tcp 3306 from client expect silent
# moat: probe tcp 8800 from client expect silent
# moat: probe tcp 3306 from loopback expect open
# moat: probe tcp 22 from blocked expect silent
# moat: probe tcp 22 from client over 6 expect open
# moat: probe tcp 3306 from client over 6 expect silent
set -eu

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') cyan=$(printf '\033[36m') red=$(printf '\033[31m') plain=$(printf '\033[0m')
else
	bold='' cyan='' red='' plain=''
fi
steps=0

step() { steps=$((steps + 1)); printf '\n%s%d. %s%s\n' "$bold" "$steps" "$1" "$plain"; }
say() { printf '   %s\n' "$@"; }
run() { printf '%sserver# %s%s\n' "$cyan" "$*" "$plain"; "$@"; }
wrong() { printf '%sWRONG: %s%s\n' "$red" "$1" "$plain"; exit 1; }

# same WHAT WANTED GOT: the two texts are equal.
same() {
	[ "$2" = "$3" ] && return
	printf '%s\n--- wanted\n%s\n--- got\n%s\n' "$1" "$2" "$3"
	wrong "$1"
}

# packets CHAIN NUMBER: the packet counter of a rule.
packets() { iptables -L "$1" "$2" -v -x -n | awk '{ print $1 }'; }

everything_answers() {
	for port in 22 80 443 3306 8800; do
		probe tcp "$port" from client expect open
	done
	probe tcp 22 from blocked expect open
}

only_what_is_meant_answers() {
	for port in 22 80 443; do
		probe tcp "$port" from client expect open
	done
	probe tcp 8800 from client expect silent
	probe tcp 3306 from client expect silent
	probe tcp 3306 from loopback expect open
	probe alive admin
}

step 'The firewall is empty: everything answers'
run iptables -L -v
same 'an empty firewall accepts' '-P INPUT ACCEPT
-P FORWARD ACCEPT
-P OUTPUT ACCEPT' "$(iptables -S)"
everything_answers
say 'Someone logs in and stays logged in until the end.'
probe hold admin tcp 22 from client expect open

step 'What would cut off the admin is refused'
say 'Typed over that login, of which sshd tells in SSH_CONNECTION:'
rules=$(iptables -S)
port=$(cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "01" && $2 ~ /:0016$/ { sub(/.*:/, "", $3); print $3; exit }')
export SSH_CONNECTION="203.0.113.7 $((0x$port)) 198.51.100.2 22"
code=0
run iptables -P INPUT DROP || code=$?
[ "$code" -eq 1 ] || wrong "exit code $code, a refused change is 1"
same 'a refused change changes nothing' "$rules" "$(iptables -S)"
say 'All that follows is typed over that login, too.'

step 'Accept what belongs to connections that are already there'
run iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
run iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
say 'From the first rule with conntrack on, the kernel keeps track. It learns of' \
	'older connections by their next packet, so that one has to pass now.'
probe alive admin
before=$(packets INPUT 1)
probe alive admin
after=$(packets INPUT 1)
run iptables -L INPUT -v -n
[ "$after" -gt "$before" ] || wrong "the counter stands still at $after"
say "The rule's packet counter went from $before to $after."

step 'Accept what the server says to itself'
run iptables -A INPUT -i lo -j ACCEPT
run iptables -A OUTPUT -o lo -j ACCEPT
probe tcp 3306 from loopback expect open

step 'Accept ssh and web'
run iptables -A INPUT -p tcp --dport 22 -j ACCEPT
run iptables -A INPUT -p tcp --dport 80 -j ACCEPT
run iptables -A INPUT -p tcp --dport 443 -j ACCEPT

step 'Drop the rest by a last rule'
run iptables -A INPUT -j DROP
only_what_is_meant_answers
run iptables -L INPUT -v -n --line-numbers
[ "$(packets INPUT 6)" -gt 0 ] || wrong 'the last rule has counted nothing'

step 'Block one address: its rule must come first'
say 'A misprint, as it stands in many a tutorial, changes nothing:'
rules=$(iptables -S)
printf '%sserver# iptables -A INPUT -s -j DROP%s\n' "$cyan" "$plain"
code=0
iptables -A INPUT -s -j DROP || code=$?
[ "$code" -eq 2 ] || wrong "exit code $code, a parameter problem is 2"
same 'a refused command changes nothing' "$rules" "$(iptables -S)"
say 'Behind the rules that accept, the block has no effect:'
run iptables -A INPUT -s 203.0.113.66 -j DROP
probe tcp 22 from blocked expect open
run iptables -D INPUT -s 203.0.113.66 -j DROP
probe hold guest tcp 22 from blocked expect open
say 'In front of them it has, for open connections too:'
run iptables -I INPUT 1 -s 203.0.113.66 -j DROP
probe tcp 22 from blocked expect silent
probe tcp 80 from blocked expect silent
probe icmp from blocked expect silent
probe alive guest expect silent
[ "$(packets INPUT 1)" -gt 0 ] || wrong 'the block has counted nothing'
only_what_is_meant_answers

step 'Drop the rest by policy instead'
run iptables -D INPUT -j DROP
probe tcp 8800 from client expect open
run iptables -P INPUT DROP
only_what_is_meant_answers
probe tcp 22 from blocked expect silent
run iptables -L -v -n
rules=$(iptables -S)
same 'these are the rules' '-P INPUT DROP
-P FORWARD ACCEPT
-P OUTPUT ACCEPT
-A INPUT -s 203.0.113.66/32 -j DROP
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
-A OUTPUT -o lo -j ACCEPT' "$rules"

step 'IPv6 has a firewall of its own'
probe tcp 3306 from client over 6 expect open
run ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
run ip6tables -A INPUT -i lo -j ACCEPT
say 'Without ICMPv6 there are no neighbours:'
run ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
run ip6tables -A INPUT -p tcp -m multiport --dports 22,80,443 -j ACCEPT
run ip6tables -P INPUT DROP
probe tcp 22 from client over 6 expect open
probe tcp 3306 from client over 6 expect silent
probe tcp 3306 from loopback over 6 expect open
rules6=$(ip6tables -S)

step 'Save, and restart'
run netfilter-persistent save
for file in rules.v4 rules.v6; do
	[ -s "/etc/iptables/$file" ] || wrong "/etc/iptables/$file is missing"
done
run cat /etc/iptables/rules.v4
run netfilter-persistent restart
same 'a restart gives the same rules' "$rules" "$(iptables -S)"
same 'a restart gives the same IPv6 rules' "$rules6" "$(ip6tables -S)"
only_what_is_meant_answers

step 'Flush: policy ACCEPT and no rules, everything answers again'
run netfilter-persistent flush
same 'nothing is left' '-P INPUT ACCEPT
-P FORWARD ACCEPT
-P OUTPUT ACCEPT' "$(iptables -S)"
everything_answers
probe tcp 3306 from client over 6 expect open
probe alive admin

step 'The next reboot: the saved rules come back'
run netfilter-persistent start
same 'the same rules come back' "$rules" "$(iptables -S)"
same 'the same IPv6 rules come back' "$rules6" "$(ip6tables -S)"
probe alive admin
only_what_is_meant_answers
probe tcp 22 from blocked expect silent

step 'By hand: first the policy, then the flush, or nobody gets in again'
run iptables -P INPUT ACCEPT
run iptables -F
everything_answers
run netfilter-persistent start

printf '\n%sThe tutorial holds.%s\n' "$bold" "$plain"
