# make           bin/moat, one static binary (also: make build)
# make demo      the tutorial, for real, in a throwaway network namespace
# make test      installs what the tests need, runs everything
# make check-systemd  the units, boot and logins under a real systemd in a container; not part of make test
# make bench     Moat against iptables-nft and iptables-legacy, then the benchmarks of the code
# make bench-quick  the first of these in two minutes
# make fuzz      every fuzz target, FUZZTIME each
# make generate  manual pages, completion and docs/extensions.md from the option tables
# make lint      formatting, go vet, staticcheck
# make install   (DESTDIR, PREFIX) the binary with its links, units, manuals, completions
# make clean     removes bin

GO ?= go
FUZZTIME ?= 60s
export CGO_ENABLED = 0

.PHONY: build demo test test-packages check-systemd bench bench-quick fuzz generate lint clean

build:
	$(GO) build -trimpath -ldflags '-s -w' -o bin/moat ./cmd/moat

demo: build
	@bin/moat lab run demo/tutorial.sh

# Packages of tests wait for the kernel more than they compute, so some run
# beside each other even on one processor.
test: test-packages
	@$(GO) test -p 4 -timeout 40m ./...

# The programs that tests run, with the Debian package that each comes from. None
# of their services is started (policy-rc.d): Docker's would change the firewall.
TEST_PROGRAMS := xtables-nft-multi:iptables nft:nftables strace:strace service:init-system-helpers \
	unshare:util-linux ip:iproute2 bash:bash ipset:ipset \
	sshd:openssh-server ssh:openssh-client sudo:sudo mosh-server:mosh script:bsdutils dropbear:dropbear-bin ufw:ufw fail2ban-server:fail2ban dockerd:docker.io \
	wireguard-go:wireguard-go wg:wireguard-tools openvpn:openvpn
TEST_FILES := /etc/services:netbase

test-packages:
	@missing=$$(PATH="$$PATH:/usr/sbin:/sbin"; \
		for p in $(TEST_PROGRAMS); do command -v "$${p%:*}" >/dev/null || printf ' %s' "$${p#*:}"; done; \
		for p in $(TEST_FILES); do [ -e "$${p%:*}" ] || printf ' %s' "$${p#*:}"; done); \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as=sudo; \
	else echo "make test: not installed, and no right to install them: apt-get install$$missing" >&2; exit 0; fi; \
	echo "make test: installing$$missing"; \
	policy=/usr/sbin/policy-rc.d; [ -e $$policy ] && policy= || { printf '#!/bin/sh\nexit 101\n' | $$as tee $$policy >/dev/null && $$as chmod 755 $$policy; }; \
	{ $$as apt-get -qq update && $$as env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing; } >/dev/null; \
	code=$$?; [ -z "$$policy" ] || $$as rm -f $$policy; exit $$code

# The system for the container is made once, by debootstrap, in /var/cache/moat-check-systemd.
check-systemd: build
	bash dist/check-systemd.sh

bench: build
	$(GO) run ./bench -moat bin/moat
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-quick: build
	$(GO) run ./bench -moat bin/moat -quick

fuzz:
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

generate:
	$(GO) run ./internal/manual/generate

lint:
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
		[ -z "$$unformatted" ] || { echo "not formatted by gofmt:" $$unformatted >&2; exit 1; }
	@$(GO) vet ./...
	@$(GO) tool -modfile=.ci/tools.mod staticcheck ./...

clean:
	rm -rf bin

include dist/install.mk
install: build
