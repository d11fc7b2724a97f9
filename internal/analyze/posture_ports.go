package analyze

import (
	"cmp"
	"slices"
)

// sensitive is a port that has no business with the world: what listens there
// trusts who asks, or has been broken into too often.
type sensitive struct {
	proto string
	from  uint16
	to    uint16 // included
	name  string
}

// sensitivePorts is sorted by port.
var sensitivePorts = [...]sensitive{
	{"tcp", 111, 111, "rpcbind"}, {"udp", 111, 111, "rpcbind"}, {"tcp", 135, 135, "Windows RPC"}, {"tcp", 139, 139, "SMB"},
	{"udp", 161, 161, "SNMP"}, {"tcp", 389, 389, "LDAP"}, {"udp", 389, 389, "LDAP"}, {"tcp", 445, 445, "SMB"},
	{"tcp", 512, 514, "rsh"}, {"udp", 623, 623, "IPMI"}, {"tcp", 873, 873, "rsync"}, {"tcp", 1433, 1433, "SQL Server"},
	{"udp", 1434, 1434, "SQL Server"}, {"tcp", 1521, 1521, "Oracle"}, {"tcp", 2049, 2049, "NFS"}, {"udp", 2049, 2049, "NFS"},
	{"tcp", 2181, 2181, "ZooKeeper"}, {"tcp", 2375, 2375, "Docker's API without TLS"}, {"tcp", 2376, 2376, "Docker's API"},
	{"tcp", 2377, 2377, "Docker Swarm"}, {"tcp", 2379, 2380, "etcd"}, {"tcp", 3306, 3306, "MySQL"}, {"tcp", 3389, 3389, "remote desktop"},
	{"udp", 3389, 3389, "remote desktop"}, {"tcp", 4369, 4369, "Erlang"}, {"tcp", 5432, 5432, "PostgreSQL"}, {"tcp", 5672, 5672, "RabbitMQ"},
	{"tcp", 5900, 5910, "VNC"}, {"tcp", 5984, 5984, "CouchDB"}, {"tcp", 5985, 5986, "WinRM"}, {"tcp", 6000, 6010, "X11"},
	{"tcp", 6379, 6379, "Redis"}, {"tcp", 7001, 7001, "Cassandra"}, {"tcp", 8086, 8086, "InfluxDB"}, {"tcp", 8123, 8123, "ClickHouse"},
	{"tcp", 8500, 8500, "Consul"}, {"tcp", 9042, 9042, "Cassandra"}, {"tcp", 9092, 9092, "Kafka"}, {"tcp", 9200, 9200, "Elasticsearch"},
	{"tcp", 9300, 9300, "Elasticsearch"}, {"tcp", 10250, 10250, "kubelet"}, {"tcp", 10255, 10255, "kubelet"}, {"tcp", 11211, 11211, "memcached"},
	{"udp", 11211, 11211, "memcached"}, {"tcp", 15672, 15672, "RabbitMQ's management"}, {"tcp", 27017, 27019, "MongoDB"},
}

// isSensitive reports whether a port is in the table, of either protocol.
func isSensitive(port uint16) bool {
	return slices.ContainsFunc(sensitivePorts[:], func(s sensitive) bool { return s.from <= port && port <= s.to })
}

// sensitiveAt is the row of a port; nil if it is in none.
func sensitiveAt(proto string, port uint16) *sensitive {
	at, _ := slices.BinarySearchFunc(sensitivePorts[:], port, func(s sensitive, p uint16) int { return cmp.Compare(s.to, p) })
	for i := at; i < len(sensitivePorts) && sensitivePorts[i].from <= port; i++ {
		if s := &sensitivePorts[i]; s.proto == proto && port <= s.to {
			return s
		}
	}
	return nil
}
