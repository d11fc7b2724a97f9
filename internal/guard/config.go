package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"moat/internal/packet"
)

// ConfigFile is where the admin names what else is to be protected.
const ConfigFile = "/etc/moat/moat.toml"

// Protected is an entry of protect: clients that are to get in to a port,
// whatever is changed.
type Protected struct {
	Proto uint8 // packet.ProtoTCP or packet.ProtoUDP
	Port  uint16
	From  netip.Prefix
	Text  string // as it was written
}

// config is moat.toml.
type config struct {
	// Protect lists entries as ParseProtected reads them.
	Protect []string `toml:"protect"`
}

// readConfig reads moat.toml, which need not be there. An error names the file
// and the place in it.
func readConfig(path string) (list []Protected, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c config
	d := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, placed(path, err)
	}
	for _, text := range c.Protect {
		p, err := ParseProtected(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// placed gives an error of the parser its line and column.
func placed(path string, err error) error {
	var at *toml.DecodeError
	var unknown *toml.StrictMissingError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		at = &unknown.Errors[0]
		line, column := at.Position()
		return fmt.Errorf("%s:%d:%d: there is no setting %q; known is protect", path, line, column, strings.Join(at.Key(), "."))
	case errors.As(err, &at):
		line, column := at.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, line, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// ParseProtected reads an entry of protect: "tcp 22 from 198.51.100.0/24". A
// single address is a network of one.
func ParseProtected(text string) (p Protected, err error) {
	const form = `want "tcp PORT from NETWORK", as in "tcp 22 from 198.51.100.0/24"`
	words := strings.Fields(text)
	if len(words) != 4 || words[2] != "from" {
		return p, fmt.Errorf("protect %q: %s", text, form)
	}
	p.Text = strings.Join(words, " ")
	switch words[0] {
	case "tcp":
		p.Proto = packet.ProtoTCP
	case "udp":
		p.Proto = packet.ProtoUDP
	default:
		return p, fmt.Errorf("protect %q: protocol %q: %s", text, words[0], form)
	}
	port, err := strconv.ParseUint(words[1], 10, 16)
	if err != nil || port == 0 {
		return p, fmt.Errorf("protect %q: port %q: want 1-65535", text, words[1])
	}
	p.Port = uint16(port)
	if p.From, err = parseNetwork(words[3]); err != nil {
		return p, fmt.Errorf("protect %q: network %q: %s", text, words[3], form)
	}
	return p, nil
}

// parseNetwork reads a network or an address.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	return n.Masked(), err
}
