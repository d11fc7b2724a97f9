package secure

import (
	"errors"
	"strings"
	"testing"
)

// shown is a list of services as a test writes it.
func shown(list []Service) string {
	var words []string
	for i := range list {
		word := list[i].Port()
		if list[i].Name != "" {
			word = list[i].Name + "=" + word
		}
		for _, n := range list[i].From {
			word += " " + n.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

func TestAllowReadsServicesPortsRangesAndNetworks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ssh":                                    "ssh=22/tcp",
		"https":                                  "https=443/tcp; https=443/udp",
		"https/tcp,dns/udp":                      "https=443/tcp; dns=53/udp",
		"22":                                     "ssh=22/tcp",
		"8080/tcp , 5353/udp":                    "8080/tcp; 5353/udp",
		"6000-6010,7000:7001/udp":                "6000-6010/tcp; 7000-7001/udp",
		"1-65535/tcp":                            "1-65535/tcp",
		"5432/tcp from 10.0.0.0/8,192.0.2.7,ssh": "postgresql=5432/tcp 10.0.0.0/8 192.0.2.7/32; ssh=22/tcp",
		"dns from ::1,10.1.2.3/8":                "dns=53/tcp ::1/128 10.0.0.0/8; dns=53/udp ::1/128 10.0.0.0/8",
		"ssh from ::ffff:10.0.0.1":               "ssh=22/tcp 10.0.0.1/32",
		" wireguard\tfrom 2001:db8::/32 ":        "wireguard=51820/udp 2001:db8::/32",
	} {
		list, err := ParseAllow(text, noNames())
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := shown(list); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestAllowSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "column 1: a service is missing here",
		"ssh,":                        "column 5: a service is missing here",
		"ssh,,http":                   "column 5: a service is missing here",
		"shh":                         `column 1, "shh": no service of that name is known`,
		"ssh,80/icmp":                 `column 5, "80/icmp": a protocol behind / is tcp or udp`,
		"wireguard/tcp":               `column 1, "wireguard/tcp": no service of that name`,
		"0":                           `column 1, "0": a port is a number from 1 to 65535`,
		"70000/tcp":                   `column 1, "70000/tcp": a port is a number`,
		"20-10":                       `column 1, "20-10": the range ends before it begins`,
		"10-20-30":                    `column 1, "10-20-30": a port is a number`,
		"ssh http":                    `column 5, "http": a comma, or "from" and a network`,
		"ssh from":                    `column 9: an address or a network is wanted`,
		"ssh from lan":                `column 10, "lan": no address and no network`,
		"ssh from 10.0.0.0/33":        `column 10, "10.0.0.0/33": no address and no network`,
		"ssh from 10.0.0.1 http":      `column 19, "http": a comma is wanted before it`,
		"ssh,10.0.0.0/8":              `column 5, "10.0.0.0/8": a network stands behind "from"`,
		"ssh from 10.0.0.1,::1 http":  `column 23, "http": a comma is wanted`,
		"ssh from 10.0.0.1,http,::1":  `column 24, "::1": a network stands behind "from"`,
		"ü,ssh from fe80::1%eth0":     `column 1, "ü": no service`,
		"dns,ssh from fe80::1%eth0":   `column 14, "fe80::1%eth0": no address`,
		"ssh from ::ffff:10.0.0.0/96": `column 10, "::ffff:10.0.0.0/96": no address`,
	} {
		_, err := ParseAllow(text, noNames())
		if wrong := (*AllowError)(nil); !errors.As(err, &wrong) {
			t.Errorf("%q: got %v", text, err)
		} else if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzParseAllow(f *testing.F) {
	for _, s := range []string{"ssh,http", "5432/tcp from 10.0.0.0/8,::1,dns", "1-2/udp from ::/0", "ü from", ",", "ssh from 1.2.3.4/0", "ssh from ::/0,127.0.0.0/8,::1,224.0.0.0/4,ff00::/8,fe80::/10,255.255.255.255,0.0.0.0/31,::"} {
		f.Add(s)
	}
	rules := rulesOf(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseAllow(text, noNames())
		if err != nil {
			if wrong := (*AllowError)(nil); !errors.As(err, &wrong) || wrong.Column < 1 || wrong.Column > len(text)+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if len(list) == 0 || len(list) > 2*(strings.Count(text, ",")+1) {
			t.Fatalf("%q: %s", text, shown(list))
		}
		var again []string // what was read is read alike when it is written out
		for i := range list {
			s := list[i].Port()
			for j, n := range list[i].From {
				s += []string{" from ", ","}[min(j, 1)] + n.String()
			}
			again = append(again, s)
		}
		second, err := ParseAllow(strings.Join(again, ","), noNames())
		if err != nil || len(second) != len(list) {
			t.Fatalf("%q, written as %q: %v", text, again, err)
		}
		for i := range list {
			second[i].Name = list[i].Name
		}
		if shown(second) != shown(list) {
			t.Fatalf("%q: %s, and again: %s", text, shown(list), shown(second))
		}
		in := Input{Names: noNames(), Rules: rules}
		if _, err := Propose(&in, &Options{Allow: list}); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
