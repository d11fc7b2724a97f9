# make build   bin/moat, one static binary
# make demo    the tutorial, for real, in a throwaway network namespace
# make test    installs what the tests need, runs everything
# make install (DESTDIR, PREFIX) the binary with its links, units, manuals, completions

GO ?= go
export CGO_ENABLED = 0

.PHONY: build demo test bench fuzz

build:
	$(GO) build -trimpath -ldflags '-s -w' -o bin/moat ./cmd/moat

demo: build
	bin/moat lab run demo/tutorial.sh

include dist/install.mk
install: build
