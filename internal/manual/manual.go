// Package manual writes what the option tables say for people: the manual
// pages of the drop-in programs, the shell completion and docs/extensions.md.
// The tables are those that the parser uses (package text and the Def of each
// extension), so that nothing is written twice. `make generate` puts the files
// into the tree; a test says when they are stale.
package manual

// File is one generated file.
type File struct {
	Path string // from the root of the repository
	Text string
}

// Files are all generated files.
func Files() []File {
	return []File{
		{"dist/man/iptables.8", iptablesPage()},
		{"dist/man/ip6tables.8", link("iptables.8")},
		{"dist/man/iptables-extensions.8", extensionsPage()},
		{"dist/man/iptables-save.8", savePage()},
		{"dist/man/ip6tables-save.8", link("iptables-save.8")},
		{"dist/man/iptables-restore.8", restorePage()},
		{"dist/man/ip6tables-restore.8", link("iptables-restore.8")},
		{"dist/completion/iptables", completion()},
		{"docs/extensions.md", reference()},
	}
}

// link is a page that shows another one.
func link(page string) string { return ".so man8/" + page + "\n" }
