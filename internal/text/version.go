package text

// iptablesVersion is the version of iptables whose behaviour Moat has.
// Programs parse it to know what they can ask for.
const iptablesVersion = "1.8.9"

// Version is the answer to -V: "iptables v1.8.9 (nf_tables)".
func Version(program string) string {
	return program + " v" + iptablesVersion + " (nf_tables)"
}
