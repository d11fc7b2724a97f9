package netdb

// User is the number of a user of /etc/passwd; see passwd(5).
func (d *DB) User(name string) (id uint32, ok bool) { return numberOf(d.accounts("passwd"), name) }

// UserName is the first name of a user's number, "" if it has none.
func (d *DB) UserName(id uint32) string { return nameOf(d.accounts("passwd"), id) }

// UserGroup is the number of a group of users of /etc/group; see group(5).
func (d *DB) UserGroup(name string) (id uint32, ok bool) { return numberOf(d.accounts("group"), name) }

// UserGroupName is the first name of a group's number, "" if it has none.
func (d *DB) UserGroupName(id uint32) string { return nameOf(d.accounts("group"), id) }

// realmFile holds the names of routing realms.
const realmFile = "iproute2/rt_realms"

// Realm is the number of a routing realm of /etc/iproute2/rt_realms.
func (d *DB) Realm(name string) (id uint32, ok bool) { return numberOf(d.routing(realmFile), name) }

// RealmName is the name of a routing realm's number, "" if it has none.
func (d *DB) RealmName(id uint32) string { return nameOf(d.routing(realmFile), id) }
