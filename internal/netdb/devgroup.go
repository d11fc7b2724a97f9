package netdb

// DeviceGroup is the number of a group of interfaces of /etc/iproute2/group.
func (d *DB) DeviceGroup(name string) (id uint32, ok bool) {
	return numberOf(d.routing("iproute2/group"), name)
}

// DeviceGroupName is the name of a device group's number, "" if it has none.
func (d *DB) DeviceGroupName(id uint32) string { return nameOf(d.routing("iproute2/group"), id) }
