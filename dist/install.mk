# install and uninstall: "make install", or "make -f dist/install.mk install"
# where bin/moat is there already. DESTDIR is put before every path.
#
# Nothing that another package owns is replaced: a program that is there and is
# no link to moat stops the install. The init script is the exception, since
# "service netfilter-persistent save" runs it; the one found is kept and comes
# back with uninstall. Settings that are there stay, and so does a completion
# of the shell's own package.

DESTDIR ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man/man8
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd/system
KEPTDIR ?= $(PREFIX)/share/moat

MOAT_DIST := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
MOAT_BINARY ?= $(MOAT_DIST)/../bin/moat

# The names under which moat is another program.
MOAT_FAMILIES := iptables ip6tables
MOAT_PARTS := -save -restore
MOAT_LINKS := \
	$(foreach f,$(MOAT_FAMILIES),$f $f-nft $(foreach p,$(MOAT_PARTS),$f$p $f-nft$p) $f-apply) \
	iptables-xml netfilter-persistent xtables-nft-multi

MOAT_UNITS := $(notdir $(wildcard $(MOAT_DIST)/systemd/*))
MOAT_MAN := $(notdir $(wildcard $(MOAT_DIST)/man/*.8))
MOAT_COMPLETIONS := $(notdir $(wildcard $(MOAT_DIST)/completion/*))
# The shell looks for a completion by the program's name; these are links.
MOAT_COMPLETION_LINKS := ip6tables-apply:iptables-apply \
	$(foreach n,$(filter-out iptables,$(foreach f,$(MOAT_FAMILIES),$f $f-nft $(foreach p,$(MOAT_PARTS),$f$p $f-nft$p))),$n:iptables)
MOAT_INIT = $(DESTDIR)$(SYSCONFDIR)/init.d/netfilter-persistent
MOAT_DEFAULT = $(DESTDIR)$(SYSCONFDIR)/default/netfilter-persistent
MOAT_KEPT_INIT = $(DESTDIR)$(KEPTDIR)/init.d-netfilter-persistent.orig
# Files name the programs by their place.
MOAT_PLACED = sed 's|/usr/sbin/|$(SBINDIR)/|g'

.PHONY: install uninstall install-check

install-check:
	@test -x '$(MOAT_BINARY)' || { echo 'install: $(MOAT_BINARY) is not there: run "make build" first' >&2; exit 1; }
	@for name in $(MOAT_LINKS); do \
		path='$(DESTDIR)$(SBINDIR)'/$$name; \
		if [ -e "$$path" ] || [ -L "$$path" ]; then \
			[ "$$(readlink "$$path")" = moat ] || { \
				echo "install: $$path is not ours and stays; choose another PREFIX or remove the package that owns it" >&2; exit 1; }; \
		fi; \
	done

install: install-check
	install -d '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(MANDIR)' '$(DESTDIR)$(COMPLETIONDIR)' '$(DESTDIR)$(UNITDIR)' \
		'$(DESTDIR)$(KEPTDIR)' '$(DESTDIR)$(SYSCONFDIR)/init.d' '$(DESTDIR)$(SYSCONFDIR)/default' '$(DESTDIR)$(SYSCONFDIR)/iptables'
	install -m 755 '$(MOAT_BINARY)' '$(DESTDIR)$(SBINDIR)/.moat.new'
	mv -f '$(DESTDIR)$(SBINDIR)/.moat.new' '$(DESTDIR)$(SBINDIR)/moat'
	for name in $(MOAT_LINKS); do ln -sfn moat '$(DESTDIR)$(SBINDIR)'/$$name || exit 1; done
	for page in $(MOAT_MAN); do install -m 644 '$(MOAT_DIST)'/man/$$page '$(DESTDIR)$(MANDIR)'/ || exit 1; done
	for name in $(MOAT_COMPLETIONS); do \
		to='$(DESTDIR)$(COMPLETIONDIR)'/$$name; \
		if [ -e "$$to" ] && ! grep -q '(moat)' "$$to"; then echo "install: $$to is not ours and stays"; continue; fi; \
		install -m 644 '$(MOAT_DIST)'/completion/$$name "$$to" || exit 1; \
	done
	for pair in $(MOAT_COMPLETION_LINKS); do \
		to='$(DESTDIR)$(COMPLETIONDIR)'/$${pair%:*}; \
		if [ -e "$$to" ] && ! grep -q '(moat)' "$$to"; then echo "install: $$to is not ours and stays"; continue; fi; \
		ln -sfn $${pair#*:} "$$to" || exit 1; \
	done
	for unit in $(MOAT_UNITS); do \
		to='$(DESTDIR)$(UNITDIR)'/$$unit; \
		{ $(MOAT_PLACED) '$(MOAT_DIST)'/systemd/$$unit > "$$to" && chmod 644 "$$to"; } || exit 1; \
	done
	if [ -e '$(MOAT_INIT)' ] && ! grep -q '(moat)' '$(MOAT_INIT)'; then cp -p '$(MOAT_INIT)' '$(MOAT_KEPT_INIT)'; fi
	$(MOAT_PLACED) '$(MOAT_DIST)/init.d/netfilter-persistent' > '$(MOAT_INIT).moat-new'
	chmod 755 '$(MOAT_INIT).moat-new'
	mv -f '$(MOAT_INIT).moat-new' '$(MOAT_INIT)'
	[ -e '$(MOAT_DEFAULT)' ] || install -m 644 '$(MOAT_DIST)/default/netfilter-persistent' '$(MOAT_DEFAULT)'

# Rules and settings belong to the admin and stay.
uninstall:
	for name in $(MOAT_LINKS); do \
		path='$(DESTDIR)$(SBINDIR)'/$$name; \
		if [ "$$(readlink "$$path")" = moat ]; then rm -f "$$path" || exit 1; fi; \
	done
	rm -f '$(DESTDIR)$(SBINDIR)/moat'
	for unit in $(MOAT_UNITS); do rm -f '$(DESTDIR)$(UNITDIR)'/$$unit || exit 1; done
	for page in $(MOAT_MAN); do rm -f '$(DESTDIR)$(MANDIR)'/$$page || exit 1; done
	for name in $(foreach p,$(MOAT_COMPLETION_LINKS),$(firstword $(subst :, ,$p))) $(MOAT_COMPLETIONS); do \
		path='$(DESTDIR)$(COMPLETIONDIR)'/$$name; \
		if grep -q '(moat)' "$$path" 2>/dev/null; then rm -f "$$path" || exit 1; fi; \
	done
	if [ -e '$(MOAT_KEPT_INIT)' ]; then mv -f '$(MOAT_KEPT_INIT)' '$(MOAT_INIT)'; \
	elif grep -q '(moat)' '$(MOAT_INIT)' 2>/dev/null; then rm -f '$(MOAT_INIT)'; fi
	[ ! -d '$(DESTDIR)$(KEPTDIR)' ] || rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(KEPTDIR)'
