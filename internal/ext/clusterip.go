package ext

// CLUSTERIP: iptables-extensions(8), "CLUSTERIP".
// UAPI: linux/netfilter_ipv4/ipt_CLUSTERIP.h, struct ipt_clusterip_tgt_info,
// revision 0. Linux 6.3 dropped it, so it is proved by parse, print and bytes alone.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// ClusterIP makes hosts that share an address answer each a part of its clients.
type ClusterIP struct {
	New      bool // make the cluster; the other fields describe it
	HashMode uint32
	MAC      [6]byte
	Total    uint16 // nodes of the cluster, at most 16
	Local    uint16 // this node's number
	Init     uint32 // of the hash
}

// clusterNew are the options that describe a new cluster, except for the first.
var clusterNew = []string{"hashmode", "clustermac", "total-nodes", "local-node"}

var clusterip = Def{
	Name: "CLUSTERIP", Kind: Target, Families: V4,
	Summary: "share an address among hosts (see match cluster)",
	Options: []Option{
		{Name: "new", Needs: clusterNew, Help: "make the cluster"},
		{Name: "hashmode", Value: "MODE", Needs: []string{"new"}, Help: "sourceip, sourceip-sourceport or sourceip-sourceport-destport"},
		{Name: "clustermac", Value: "MAC", Needs: []string{"new"}, Help: "the cluster's Ethernet address, a multicast address"},
		{Name: "total-nodes", Value: "NUMBER", Needs: []string{"new"}, Help: "nodes of the cluster (0-16)"},
		{Name: "local-node", Value: "NUMBER", Needs: []string{"new"}, Help: "number of this node (0-16)"},
		{Name: "hash-init", Value: "NUMBER", Needs: []string{"new"}, Help: "start of the hash"},
	},
	Revisions: []Revision{{Rev: 0, Size: 64}},
	New:       func(rule.Family) Ext { return &ClusterIP{} },
}

func init() { register(&clusterip) }

const (
	clusterMaxNodes = 16 // CLUSTERIP_MAX_NODES
	clusterFlagNew  = 1  // CLUSTERIP_FLAG_NEW
)

// clusterModes are the modes by enum clusterip_hashmode.
var clusterModes = [...]string{"sourceip", "sourceip-sourceport", "sourceip-sourceport-destport"}

func (t *ClusterIP) Name() string { return "CLUSTERIP" }
func (t *ClusterIP) Def() *Def    { return &clusterip }

func (t *ClusterIP) Set(a *Arg) (err error) {
	var n uint64
	switch a.Option.Name {
	case "new":
		t.New = true
	case "hashmode":
		return t.setMode(a)
	case "clustermac":
		if t.MAC, err = a.mac(); err == nil && t.MAC[0]&1 == 0 {
			err = a.Errorf("takes a multicast address, whose first number is odd, not %s", a.Value)
		}
	case "total-nodes":
		n, err = a.Uint(0, clusterMaxNodes)
		t.Total = uint16(n)
	case "local-node":
		n, err = a.Uint(0, clusterMaxNodes)
		t.Local = uint16(n)
	case "hash-init":
		n, err = a.Uint(0, 1<<32-1)
		t.Init = uint32(n)
	}
	return err
}

func (t *ClusterIP) setMode(a *Arg) error {
	for i, name := range clusterModes {
		if a.Value == name {
			t.HashMode = uint32(i)
			return nil
		}
	}
	return a.Bad("sourceip, sourceip-sourceport or sourceip-sourceport-destport")
}

func (t *ClusterIP) Save(p *Printer) {
	if t.New {
		p.Str(" --new")
		t.print(p, " --hashmode ", " --clustermac ", " --total-nodes ", " --local-node ", " --hash-init ")
	}
}

func (t *ClusterIP) List(p *Printer) {
	p.Str(" CLUSTERIP")
	if t.New {
		t.print(p, " hashmode=", " clustermac=", " total_nodes=", " local_node=", " hash_init=")
	}
}

func (t *ClusterIP) print(p *Printer, mode, mac, total, local, init string) {
	p.Str(mode + clusterModes[t.HashMode] + mac)
	for i, b := range t.MAC {
		if i > 0 {
			p.Byte(':')
		}
		const digits = "0123456789ABCDEF"
		p.Byte(digits[b>>4])
		p.Byte(digits[b&15])
	}
	p.Str(total)
	p.Uint(uint64(t.Total))
	p.Str(local)
	p.Uint(uint64(t.Local))
	p.Str(init)
	p.Uint(uint64(t.Init))
}

// Info writes struct ipt_clusterip_tgt_info, whose last member is the kernel's own.
func (t *ClusterIP) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(flag[uint32](t.New, clusterFlagNew))
	w.Bytes(t.MAC[:])
	w.Host16(t.Total)
	w.Host16(flag[uint16](t.New, 1)) // number of local nodes, of which iptables gives one
	w.Host16(t.Local)
	w.Zero(2 * (clusterMaxNodes - 1))
	w.Host32(t.HashMode)
	w.Host32(t.Init)
}

// Read reads struct ipt_clusterip_tgt_info.
func (t *ClusterIP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	flags := r.Host32()
	t.New = flags == clusterFlagNew
	copy(t.MAC[:], r.Bytes(len(t.MAC)))
	t.Total = r.Host16()
	locals := r.Host16()
	t.Local = r.Host16()
	r.Skip(2 * (clusterMaxNodes - 1))
	t.HashMode, t.Init = r.Host32(), r.Host32()
	if flags > clusterFlagNew || t.HashMode >= uint32(len(clusterModes)) || locals > 1 {
		return nft.ErrMalformed
	}
	return nil
}
