#!/bin/bash
# Runs Moat's units under a real systemd: "make check-systemd". A small Debian is
# made once by debootstrap (CACHE) and booted as a container with its own network
# namespace, process numbers and control groups. The client is the namespace that
# this script moves itself into; the machine's own firewall is not touched.
# It exits with 0 and says SKIP where that cannot be done.
set -u
HERE=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${MOAT_SYSTEMD_ROOT:-/var/cache/moat-check-systemd/bookworm}
PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,iproute2,tmux,sudo,systemd-container,procps,netbase

skip() { echo "SKIP check-systemd: $*"; exit 0; }

[ "$(id -u)" = 0 ] || skip "needs root"
[ -x "$HERE/bin/moat" ] || skip "bin/moat is not there: make build"
if [ "${1-}" != inside ]; then
	command -v debootstrap >/dev/null || apt-get -qq -y --no-install-recommends install debootstrap >/dev/null 2>&1
	command -v debootstrap >/dev/null || skip "no debootstrap, and it cannot be installed"
	command -v ssh >/dev/null && command -v nft >/dev/null || skip "needs ssh and nft"
	if [ ! -e "$CACHE/.complete" ]; then
		echo "making $CACHE (some minutes)"
		mkdir -p "$CACHE" && debootstrap --variant=minbase --include=$PACKAGES bookworm "$CACHE" >"$CACHE.log" 2>&1 ||
			skip "debootstrap failed, see $CACHE.log"
		touch "$CACHE/.complete"
	fi
	unshare --net --mount --propagation private true 2>/dev/null || skip "no right to make namespaces"
	exec unshare --net --mount --propagation private bash "$HERE/dist/check-systemd.sh" inside
fi

WORK=$(mktemp -d /var/tmp/moat-check-systemd.XXXXXX)
ROOT=$WORK/root CGROUP= INIT= RUNNER= FAILED=0
GROUPS2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$GROUPS2" ] || skip "no cgroup2"

# poweroff is a power cut: everything in the container is killed.
poweroff() {
	[ -n "$INIT" ] && kill -9 "$INIT" 2>/dev/null
	[ -n "$RUNNER" ] && wait "$RUNNER" 2>/dev/null
	ip link delete client 2>/dev/null
	INIT= RUNNER=
}
cleanup() {
	poweroff
	[ -n "$CGROUP" ] && for try in 1 2 3 4 5; do
		find "$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break
		sleep 0.3
	done
	rm -rf --one-file-system "$WORK"
}
trap cleanup EXIT

# boot starts systemd in the container and waits until sshd is up.
boot() {
	CGROUP=$GROUPS2/moat-check-$$
	mkdir -p "$CGROUP/box"
	(
		echo 0 >"$CGROUP/box/cgroup.procs" || exit 1
		exec unshare --pid --fork --kill-child --mount --propagation private --net --uts --ipc --cgroup sh -c '
			mount --bind "$0" "$0" && cd "$0" &&
			mount -t proc proc proc && mount -t sysfs sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup &&
			mount -t tmpfs -o mode=755 tmpfs run && mount -t tmpfs -o mode=755 tmpfs dev && mkdir dev/pts dev/shm &&
			for d in null zero full random urandom tty; do touch dev/$d && mount --bind /dev/$d dev/$d; done &&
			mount -t devpts -o newinstance,ptmxmode=666,gid=5,mode=620 devpts dev/pts && ln -s pts/ptmx dev/ptmx &&
			ln -s /proc/self/fd dev/fd && ln -s fd/0 dev/stdin && ln -s fd/1 dev/stdout && ln -s fd/2 dev/stderr &&
			cat /proc/sys/kernel/random/uuid >run/boot_id && mount --bind run/boot_id proc/sys/kernel/random/boot_id &&
			pivot_root . mnt && umount -l /mnt && exec env -i container=moat PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
		' "$ROOT"
	) >"$WORK/boot.log" 2>&1 </dev/null &
	RUNNER=$!
	for try in $(seq 100); do
		INIT=$(pgrep -P "$RUNNER" | head -1)
		[ -n "$INIT" ] && [ "$(cat /proc/$INIT/comm 2>/dev/null)" = systemd ] && break
		sleep 0.1
	done
	[ -n "$INIT" ] || { cat "$WORK/boot.log"; skip "no systemd as the first process of a container"; }
	ip link add client type veth peer name eth0 netns "$INIT" || skip "no veth"
	ip address add 198.51.100.1/24 dev client && ip link set client up && ip link set lo up
	for try in $(seq 300); do
		box systemctl is-active -q ssh 2>/dev/null && [ -n "$(box systemctl is-system-running 2>/dev/null | grep -E 'running|degraded')" ] && break
		sleep 0.2
	done
	box systemctl is-active -q ssh || { cat "$WORK/boot.log"; box journalctl -b --no-pager | tail -30; skip "systemd does not come up in a container here"; }
	box ip link set lo up
	box ip address add 198.51.100.2/24 dev eth0; box ip link set eth0 up
	for try in $(seq 100); do in_ssh true && break; sleep 0.1; done
}
# box runs a command in the container, on no session's part.
box() { nsenter -t "$INIT" -a env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null; }
in_ssh() { ssh -F /dev/null -i "$WORK/key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
	-o LogLevel=ERROR -o ControlPath=none -o ConnectTimeout=5 root@198.51.100.2 "$@" </dev/null; }
ok() { # name, command…: the command has to succeed
	local name=$1 out; shift
	if out=$("$@" 2>&1); then echo "ok    $name"; else echo "FAIL  $name"; echo "$out" | sed 's/^/      /'; FAILED=1; fi
}
within() { # seconds, command…: it has to succeed by then
	local end=$((SECONDS + $1)); shift
	until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.3; done
}
# The looks at rules and journal go past Moat, whose every program does what is due.
rules() { nsenter -t "$INIT" -n nft list ruleset; }
old_rules() { rules | grep -q 'dport 9 ' && ! rules | grep -q 'dport 10 '; }
new_rules() { rules | grep -q 'dport 10 '; }
nothing_pending() { [ ! -e "$ROOT/var/lib/moat/pending" ]; }
history_says() { box moat history | sed -n 2p | grep -q "$1" || { box moat history; return 1; }; }
# kill_by_name ends processes of the container only.
kill_by_name() { local p; for p in $(box pgrep -f -- "$1"); do box kill -9 "$p" 2>/dev/null; done; }

cp -a "$CACHE" "$ROOT" || exit 1
make -s -C "$HERE" -f dist/install.mk install DESTDIR="$ROOT" >/dev/null || exit 1
ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
mkdir -p "$ROOT/root/.ssh" && cp "$WORK/key.pub" "$ROOT/root/.ssh/authorized_keys" && chmod -R go= "$ROOT/root/.ssh"
mkdir -p "$ROOT/etc/systemd/logind.conf.d"
printf '[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\n' >"$ROOT/etc/systemd/logind.conf.d/kill.conf"
: >"$ROOT/etc/machine-id"
echo 'UseDNS no' >>"$ROOT/etc/ssh/sshd_config"
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 9 -j DROP\nCOMMIT\n' >"$ROOT/etc/iptables/rules.v4"
cp "$ROOT/etc/iptables/rules.v4" "$ROOT/etc/iptables/rules.v6"
sed 's/dport 9/dport 10/' "$ROOT/etc/iptables/rules.v4" >"$ROOT/root/new.v4"
sed 's/dport 9/dport 10/' "$ROOT/etc/iptables/rules.v6" >"$ROOT/root/new.v6"
# What the firewall was when the network began.
cat >"$ROOT/etc/systemd/system/witness.service" <<'UNIT'
[Unit]
DefaultDependencies=no
Before=network.target
After=network-pre.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/usr/local/sbin/iptables -S; /usr/local/sbin/ip6tables -S'
StandardOutput=truncate:/root/witness
[Install]
WantedBy=multi-user.target
UNIT

boot
ok "the units are where systemd finds them" box systemctl cat netfilter-persistent moat-rollback.path moat-rollback.service
ok "they can be enabled" box systemctl enable netfilter-persistent moat-rollback.path moat-rollback.service witness
ok "systemd has no complaint of them" sh -c '! grep -E "(moat-rollback|netfilter-persistent).*(Unknown|ordering cycle|deleted)" "$0"' <(box journalctl -b --no-pager)
poweroff
boot
ok "after a boot both families' rules stand before the network" [ "$(grep -c -- '--dport 9 ' "$ROOT/root/witness")" = 2 ]
ok "the path unit waits" box systemctl is-active moat-rollback.path
ok "nothing failed" sh -c '[ -z "$0" ] || { echo "$0"; exit 1; }' "$(box systemctl list-units --failed --no-legend --plain '*moat*' '*netfilter*')"

apply='moat apply /root/new.v4 /root/new.v6 --confirm-within'
start() { in_ssh "exec $apply $*" >"$WORK/apply.log" 2>&1 & within 20 new_rules; }
ended() { within 40 nothing_pending && old_rules; }

ok "a change over ssh is made" start 15s
ok "the unit stands by" within 10 sh -c "nsenter -t $INIT -a systemctl show -p ActiveState moat-rollback.service | grep -q activating"
watchers() { box pgrep -fa -- '^moat apply|--detached'; }
ok "the waiting process and its watchdog are there" [ "$(watchers | wc -l)" = 2 ]
kill_by_name '^moat apply'; kill_by_name '.*--detached'
ok "both can be killed" [ -z "$(watchers)" ]
ok "the rules stay until the deadline" new_rules
ok "and then the unit puts the old ones back" ended
ok "history tells it" history_says 'not confirmed in time'

ok "a change over ssh, whose session is ended" start 15s
for session in $(box loginctl list-sessions --no-legend | awk '$3 == "root" { print $1 }'); do box loginctl terminate-session "$session"; done
ok "the end of the session (KillUserProcesses=yes) confirms nothing" ended

ok "a change while sshd is restarted" start 15s
box systemctl restart ssh
ok "can be confirmed from a new session" in_ssh moat confirm
ok "and stays" new_rules
box netfilter-persistent start

# Without the units there is the detached watchdog only.
box systemctl stop moat-rollback.path moat-rollback.service
ok "a change without the units, whose session is ended" start 15s
for session in $(box loginctl list-sessions --no-legend | awk '$3 == "root" { print $1 }'); do box loginctl terminate-session "$session"; done
ok "is taken back all the same" ended
ok "by its own watchdog, which systemd asked to end" history_says 'stopped by a signal'
box systemctl start moat-rollback.path

for save in '' --save; do
	ok "a change ${save:-without --save}" start "60s $save"
	poweroff
	boot
	ok "after a power cut the old rules are there" old_rules
	ok "and nothing waits" within 10 nothing_pending
	ok "history tells of it" history_says 'boot'
done

# Who is in no session is not held up.
ok "guard: a service is obeyed" box systemd-run -q --wait sh -c '/usr/local/sbin/iptables -P INPUT DROP && /usr/local/sbin/iptables -P INPUT ACCEPT'

# Whom the guard sees, however the shell came about.
refused() { local out; out=$("$@" 2>&1); echo "$out" | grep -q 'refused, nothing was changed' || { echo "not refused: $out"; box iptables -P INPUT ACCEPT; return 1; }; }
drop='/usr/local/sbin/iptables -P INPUT DROP'
ok "guard: PAM login" refused in_ssh "$drop"
ok "guard: sudo -i" refused in_ssh "sudo -i $drop"
ok "guard: su -" refused in_ssh "su - -c '$drop'"
ok "guard: systemd-run --pipe" refused in_ssh "systemd-run -q --pipe --wait $drop"
ok "guard: systemd-run --pty" refused in_ssh -tt "systemd-run -q --pty --wait $drop"
ok "guard: systemd-run --scope" refused in_ssh "systemd-run -q --scope $drop"
ok "guard: machinectl shell" refused in_ssh -tt "machinectl -q shell root@.host /bin/sh -c '$drop; sleep 0.3'"
in_ssh 'systemd-run -q --scope tmux -L t new-session -d "sleep 300"' # it outlives its login
ok "guard: tmux of an earlier session" refused in_ssh "tmux -L t new-window 'env -i $drop >/root/tmux 2>&1; echo end >>/root/tmux'; until grep -q end /root/tmux; do sleep 0.1; done; cat /root/tmux"

[ $FAILED = 0 ] && echo "all is well under $(box systemctl --version | head -1)"
exit $FAILED
