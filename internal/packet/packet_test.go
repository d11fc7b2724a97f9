package packet

import "testing"

// TestZonesOfATemplate holds in which zones a packet is looked up.
func TestZonesOfATemplate(t *testing.T) {
	for _, c := range []struct {
		template Template
		known    Know
		want     Zones
		told     bool
	}{
		{Template{}, 0, Zones{}, true},
		{Template{Set: true, Zone: 7}, 0, Zones{7, 7}, true},
		{Template{Set: true, Zone: 7, Original: true, Reply: true}, 0, Zones{7, 7}, true},
		{Template{Set: true, Zone: 7, Original: true}, 0, Zones{7, 0}, true},
		{Template{Set: true, Zone: 7, Reply: true}, 0, Zones{0, 7}, true},
		{Template{Set: true, ZoneMark: true}, 0, Zones{}, false},
		{Template{Set: true, ZoneMark: true, Original: true}, KnowMark, Zones{Original: 5}, true},
	} {
		p := Packet{Template: c.template, Known: c.known, Mark: 0x10005} // a zone has 16 bits
		if got, told := p.Zones(); got != c.want || told != c.told {
			t.Errorf("%+v: %v, %v", c.template, got, told)
		}
	}
}
