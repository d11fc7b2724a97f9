package nft

import (
	"errors"

	"golang.org/x/sys/unix"
)

// CompatRevision asks whether the kernel has that revision of an xt match or
// target for the family, loading its module if need be.
// UAPI: linux/netfilter/nf_tables_compat.h, NFNL_MSG_COMPAT_GET.
func (c *Conn) CompatRevision(family uint8, name string, isTarget bool, rev uint8) (bool, error) {
	kind := uint32(0)
	if isTarget {
		kind = 1
	}
	c.begin(NFNL_SUBSYS_NFT_COMPAT, NFNL_MSG_COMPAT_GET, 0, family)
	c.req.AttrString(NFTA_COMPAT_NAME, name)
	c.req.AttrBE32(NFTA_COMPAT_REV, uint32(rev))
	c.req.AttrBE32(NFTA_COMPAT_TYPE, kind)
	err := c.askFor("ask for revisions of extension "+name, 1, func(Message) error { return nil })
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
		return false, nil
	}
	return false, err
}
