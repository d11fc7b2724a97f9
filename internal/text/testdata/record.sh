#!/bin/sh
# Records what Debian's iptables-nft 1.8.9 prints of print4.rules and
# print6.rules, with the names of etc/, into the .golden files beside them.
# Needs root; touches no firewall but those of its own network namespaces.
set -eu
cd "$(dirname "$0")"
if [ "${1-}" != inside ]; then
	exec unshare -n -m sh "./$(basename "$0")" inside
fi
for file in hosts networks protocols services; do
	mount --bind "etc/$file" "/etc/$file"
done
record() { # record FILE PROGRAM: everything that the program shows
	{
		for options in "-S" "-S -v" "-L" "-L -v" "-L -n" "-L -n -v" "-L -n -v -x" "-L -v --line-numbers" "-L -n --line-numbers"; do
			echo "### $options"
			"$2-nft" $options
		done
		for options in "" "-c"; do
			echo "### save $options"
			"$2-nft-save" $options | sed 's/ on .*$/ on DATE/'
		done
	} >"$1.golden"
}
iptables-nft-restore -c <print4.rules
record print4 iptables
ip6tables-nft-restore -c <print6.rules
record print6 ip6tables
for spec in "-A" "-A -s 10.9.0.1 -p 89 -j ACCEPT" "-A ! -s 10.0.0.0/255.0.255.0 ! -d 10.0.0.0/8 ! -i a ! -o b ! -p tcp -j c1" \
	"-A -p tcp --dport 80 -g c1" "-A -p 135 -f -j DROP" "-A ! -f -i eth+ -o ppp+ -p 0"; do
	iptables-nft -v -A FORWARD ${spec#-A}
done >verbose4.golden
for spec in "-A" "-A -s ::1 ! -d 2001:db8::/32 -p tcp --dport 22 -j ACCEPT" "-A -p 58 -g c6"; do
	ip6tables-nft -v -A FORWARD ${spec#-A}
done >verbose6.golden
