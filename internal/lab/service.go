package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// Service is a protocol ("tcp" or "udp") and a port.
type Service struct {
	Proto string
	Port  uint16
}

// String gives "tcp 22".
func (s Service) String() string { return s.Proto + " " + strconv.Itoa(int(s.Port)) }

// ParseServices reads a list such as "tcp 22,80,443 udp 53".
func ParseServices(text string) ([]Service, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words)%2 != 0 {
		return nil, fmt.Errorf("services %q: want protocol and ports, as in \"tcp 22,80 udp 53\"", text)
	}
	var list []Service
	for i := 0; i < len(words); i += 2 {
		proto := words[i]
		if proto != "tcp" && proto != "udp" {
			return nil, fmt.Errorf("services %q: protocol %q: want tcp or udp", text, proto)
		}
		for _, p := range strings.Split(words[i+1], ",") {
			port, err := parsePort(p)
			if err != nil {
				return nil, fmt.Errorf("services %q: %w", text, err)
			}
			list = append(list, Service{proto, port})
		}
	}
	return list, nil
}

// parsePort reads 1 to 65535.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q: want 1-65535", s)
	}
	return uint16(n), nil
}
