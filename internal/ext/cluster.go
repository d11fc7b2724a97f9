package ext

// cluster: iptables-extensions(8), "cluster".
// UAPI: linux/netfilter/xt_cluster.h, struct xt_cluster_match_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Cluster matches the packets that this node of a cluster has to handle. The
// kernel's hash of the connection decides.
type Cluster struct {
	Total uint32 // nodes, 1 to 32
	Nodes uint32 // a bit for each node that this one is
	Seed  uint32 // of the hash
	Not   bool
}

// xtClusterNodesMax is XT_CLUSTER_NODES_MAX.
const xtClusterNodesMax = 32

var cluster = Def{
	Name: "cluster", Kind: Match, Families: Both,
	Summary: "packets that this node of a cluster handles",
	Options: []Option{
		{Name: "cluster-total-nodes", Value: "NUMBER", Required: true, Help: "nodes of the cluster, 1 to 32"},
		{Name: "cluster-local-node", Value: "NUMBER", Not: true, Excludes: []string{"cluster-local-nodemask"}, Help: "number of this node, from 1"},
		{Name: "cluster-local-nodemask", Value: "MASK", Not: true, Excludes: []string{"cluster-local-node"}, Help: "numbers of this node as bits, 1 to 32"},
		{Name: "cluster-hash-seed", Value: "NUMBER", Required: true, Help: "seed of the hash, the same on all nodes"},
	},
	AnyOf:     []string{"cluster-local-node", "cluster-local-nodemask"},
	Revisions: []Revision{{Rev: 0, Size: 16}},
	New:       func(rule.Family) Ext { return &Cluster{} },
}

func init() { register(&cluster) }

func (m *Cluster) Name() string { return "cluster" }
func (m *Cluster) Def() *Def    { return &cluster }

func (m *Cluster) Set(a *Arg) error {
	if a.Is("cluster-hash-seed") {
		n, err := a.Uint(0, 1<<32-1)
		m.Seed = uint32(n)
		return err
	}
	n, err := a.Uint(1, xtClusterNodesMax) // the mask too, as in 1.8.9
	if err != nil {
		return err
	}
	switch a.Option.Name {
	case "cluster-total-nodes":
		m.Total = uint32(n)
	case "cluster-local-node":
		m.Nodes, m.Not = 1<<(n-1), a.Not
	case "cluster-local-nodemask":
		m.Nodes, m.Not = uint32(n), a.Not
	}
	return nil
}

// Check holds the node against the number of nodes.
func (m *Cluster) Check(*Context) error {
	if uint64(m.Nodes) >= 1<<m.Total {
		return Errorf(m, "--cluster-local-node and --cluster-local-nodemask must be within --cluster-total-nodes %d", m.Total)
	}
	return nil
}

func (m *Cluster) Save(p *Printer) {
	p.Option(m.Not, "cluster-local-nodemask")
	p.Byte(' ')
	p.HexPad(uint64(m.Nodes), 8)
	p.OptionUint(false, "cluster-total-nodes", uint64(m.Total))
	p.Option(false, "cluster-hash-seed")
	p.Byte(' ')
	p.HexPad(uint64(m.Seed), 8)
}

func (m *Cluster) List(p *Printer) {
	p.Str(" cluster ")
	p.notMark(m.Not)
	p.Str("node_mask=")
	p.HexPad(uint64(m.Nodes), 8)
	p.Str(" total_nodes=")
	p.Uint(uint64(m.Total))
	p.Str(" hash_seed=")
	p.HexPad(uint64(m.Seed), 8)
}

// Info writes struct xt_cluster_match_info.
func (m *Cluster) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(m.Total)
	w.Host32(m.Nodes)
	w.Host32(m.Seed)
	w.Host32(flag[uint32](m.Not, 1))
}

// Read reads struct xt_cluster_match_info.
func (m *Cluster) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Total, m.Nodes, m.Seed = r.Host32(), r.Host32(), r.Host32()
	flags := r.Host32()
	m.Not = flags != 0
	if flags > 1 || m.Total > xtClusterNodesMax {
		return nft.ErrMalformed
	}
	return nil
}
