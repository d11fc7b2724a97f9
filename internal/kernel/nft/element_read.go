package nft

import "golang.org/x/sys/unix"

// DumpElements calls each with every element of a set, in no particular order.
// IsNotFound if the set is not there. The Element holds only during the call,
// in which the Conn must not be used.
//
// A hash set without Size is resized by the kernel in the background, also for
// some milliseconds after the transaction that filled it. A dump during that
// time gives some elements twice and misses others, and nothing says so
// (Linux 6.18: 20,000 new elements, 20 of 30 dumps missed up to a fifth). Sets
// with a Size are not resized and always read whole.
func (c *Conn) DumpElements(ref SetRef, each func(*Element) error) error {
	return c.dumpElements(NFT_MSG_GETSETELEM, ref, each)
}

// ResetElements is DumpElements and sets the counters and quotas of each
// element to zero in the same step (Linux 6.5).
func (c *Conn) ResetElements(ref SetRef, each func(*Element) error) error {
	return c.dumpElements(NFT_MSG_GETSETELEM_RESET, ref, each)
}

func (c *Conn) dumpElements(msg uint8, ref SetRef, each func(*Element) error) error {
	c.begin(NFNL_SUBSYS_NFTABLES, msg, unix.NLM_F_DUMP, ref.Family)
	c.req.elementList(ref)
	var e Element
	return c.dump(func(m Message) error { return decodeElements(m, &e, each) })
}

// GetElements calls each with the elements of those keys, in their order;
// IsNotFound at the first that the set has not. The Element holds only during
// the call.
func (c *Conn) GetElements(ref SetRef, keys []Element, each func(*Element) error) error {
	return c.getElements(NFT_MSG_GETSETELEM, ref, keys, each)
}

// ResetElementsOf is GetElements and sets the counters and quotas of each to
// zero in the same step (Linux 6.5).
func (c *Conn) ResetElementsOf(ref SetRef, keys []Element, each func(*Element) error) error {
	return c.getElements(NFT_MSG_GETSETELEM_RESET, ref, keys, each)
}

// getBytes is how much a request for elements holds, so that the answers, one
// for each key, fit the default receive buffer.
const getBytes = 2 << 10

func (c *Conn) getElements(msg uint8, ref SetRef, keys []Element, each func(*Element) error) error {
	var e Element
	for len(keys) > 0 {
		c.begin(NFNL_SUBSYS_NFTABLES, msg, 0, ref.Family)
		c.req.elementList(ref)
		list := c.req.Begin(NFTA_SET_ELEM_LIST_ELEMENTS)
		n := 0
		for n < len(keys) && c.req.Len() < getBytes {
			c.req.element(&keys[n])
			n++
		}
		c.req.End(list)
		err := c.ask(n, func(m Message) error { return decodeElements(m, &e, each) })
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}
