package cli_test

import (
	"testing"

	"moat/internal/cli"
)

func TestFind(t *testing.T) {
	names := map[string]string{
		"iptables": "iptables", "ip6tables": "ip6tables", "iptables-nft": "iptables", "ip6tables-nft": "ip6tables",
		"iptables-save": "iptables-save", "iptables-nft-save": "iptables-save", "ip6tables-nft-save": "ip6tables-save",
		"iptables-restore": "iptables-restore", "iptables-nft-restore": "iptables-restore",
		"ip6tables-nft-restore": "ip6tables-restore", "ip6tables-restore": "ip6tables-restore",
		"iptables-apply": "iptables-apply", "ip6tables-apply": "ip6tables-apply", "netfilter-persistent": "netfilter-persistent",
		"": "", "moat": "", "nft": "", "iptables-": "", "iptables-nft-": "", "iptables-legacy": "", "Iptables": "",
		"iptables-save-nft": "", "xtables-nft-multi": "", "-nft": "", "iptables-nft-nft": "",
	}
	for name, want := range names {
		got := ""
		if p := cli.Find(name); p != nil {
			got = p.Name
		}
		if got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
