package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// NoTag is the tag of messages appended before the first call of Batch.Tag.
	NoTag = -1

	// chunkSize is when a batch goes on in new memory, in bytes, so that a
	// large one is not copied as it grows. One sendmsg takes 1024 chunks
	// (UIO_MAXIOV), which is as much as any send buffer holds.
	chunkSize = 2 << 20

	// firstChunk is when the first chunk, which grows from nothing, is full.
	firstChunk = 256 << 10

	// chunkSpare is what must be free for a message to begin in a chunk: an
	// attribute is shorter than 64 KiB, and few messages have more than one long one.
	chunkSpare = 72 << 10

	// maxAttr is the largest nla_len, header included.
	maxAttr = 1<<16 - 1
)

// Batch is one transaction: messages that the kernel takes all together or not
// at all. Messages are encoded at the end of Buffer as they are appended, and
// nothing is copied until the kernel does. The zero Batch is ready to use.
//
// Between BeginMessage and EndMessage, and so between BeginRule and EndRule,
// the caller may append attributes to Buffer; at other times it must not.
type Batch struct {
	Buffer

	// Generation is the generation that the changes were computed from; the
	// kernel refuses the batch (IsStale) when it is not the current one.
	// 0 means any. It may be changed until Commit.
	Generation uint32

	// OnEcho is called during Commit with what the kernel tells of each
	// message that was appended with NLM_F_ECHO: the object as it is now, with
	// its handle. It holds only during the call. An error is Commit's error;
	// the changes are made all the same.
	OnEcho func(tag int, m Message) error

	chunks [][]byte // full ones, before Buffer
	sealed int      // bytes in chunks
	count  int      // messages, without begin and end of the batch
	echoes int      // of those with NLM_F_ECHO
	last   int      // offset in Buffer of the last message begun
	tags   []tagRun
	err    error // first error made while appending

	exprs    int // offset of the open rule's list of expressions
	elements elementRun
}

// tagRun says that messages from index first on have the tag.
type tagRun struct{ first, tag int32 }

// Messages is the number of messages appended.
func (b *Batch) Messages() int { return b.count }

// Size is the length of the transaction in bytes.
func (b *Batch) Size() int { return b.sealed + b.Len() }

// Err is the first error made while appending; Commit gives it too.
func (b *Batch) Err() error { return b.err }

// Reset makes the batch empty and keeps the memory of its last part.
func (b *Batch) Reset() {
	b.Buffer.Reset()
	*b = Batch{Buffer: b.Buffer, OnEcho: b.OnEcho, tags: b.tags[:0]}
}

// Tag sets what names the messages appended from now on in errors, such as a
// rule's number or a line. A tag is a 32-bit number.
func (b *Batch) Tag(tag int) {
	run := tagRun{int32(b.count), int32(tag)}
	if n := len(b.tags); n > 0 && b.tags[n-1].first == run.first {
		b.tags[n-1] = run
		return
	}
	b.tags = append(b.tags, run)
}

// tagOf is the tag of the message with that index.
func (b *Batch) tagOf(index int) int {
	i, found := slices.BinarySearchFunc(b.tags, index, func(r tagRun, index int) int { return int(r.first) - index })
	if !found {
		i--
	}
	if index < 0 || i < 0 {
		return NoTag
	}
	return int(b.tags[i].tag)
}

// BeginMessage starts a message NFT_MSG_* of the given NLM_F_* flags and
// family; EndMessage completes it.
func (b *Batch) BeginMessage(msg uint8, flags uint16, family uint8) {
	b.room()
	b.last = b.Len()
	b.count++
	if flags&unix.NLM_F_ECHO != 0 {
		b.echoes++
	}
	b.message(NFNL_SUBSYS_NFTABLES<<8|uint16(msg), flags, uint32(b.count), family, 0)
}

// EndMessage completes the message that BeginMessage started.
func (b *Batch) EndMessage() {
	binary.NativeEndian.PutUint32(b.b[b.last:], uint32(b.Len()-b.last))
}

// room begins the batch if it is empty, or a new chunk if this one is full.
// UAPI: linux/netfilter/nfnetlink.h, NFNL_MSG_BATCH_BEGIN; its res_id names the subsystem.
func (b *Batch) room() {
	switch {
	case b.Size() == 0:
		b.message(NFNL_MSG_BATCH_BEGIN, 0, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES)
		b.AttrBE32(NFNL_BATCH_GENID, 0)
		binary.NativeEndian.PutUint32(b.b, uint32(b.Len()))
	case b.Len() > chunkSize-chunkSpare, b.Len() > firstChunk && cap(b.b) < chunkSize:
		b.chunks = append(b.chunks, b.b)
		b.sealed += len(b.b)
		b.b = make([]byte, 0, chunkSize)
	}
}

// endAttr closes an attribute of any length: one that is too long is the
// batch's error.
func (b *Batch) endAttr(at int, what string) {
	if n := b.Len() - at; n > maxAttr && b.err == nil {
		b.err = fmt.Errorf("%s of %d bytes: at most %d bytes fit a netlink attribute", what, n, maxAttr)
	}
	b.End(at)
}

// attrString appends s unless it is empty.
func (b *Buffer) attrString(typ uint16, s string) {
	if s != "" {
		b.AttrString(typ, s)
	}
}

// attrBytes appends p unless it is empty.
func (b *Buffer) attrBytes(typ uint16, p []byte) {
	if len(p) > 0 {
		b.AttrBytes(typ, p)
	}
}

// attrBE32 appends v unless it is 0.
func (b *Buffer) attrBE32(typ uint16, v uint32) {
	if v != 0 {
		b.AttrBE32(typ, v)
	}
}

// attrBE64 appends v unless it is 0.
func (b *Buffer) attrBE64(typ uint16, v uint64) {
	if v != 0 {
		b.AttrBE64(typ, v)
	}
}

// errUnfinished is an error of the program: Commit within a message.
var errUnfinished = errors.New("the transaction's last message is not complete")

// parts gives the encoded batch for sending, with its generation in place, the
// last message marked for acknowledgement and the end of the batch appended.
// unseal takes the last two back, so that the batch may be sent again.
func (b *Batch) parts() ([][]byte, error) {
	if binary.NativeEndian.Uint32(b.b[b.last:]) != uint32(b.Len()-b.last) {
		return nil, errUnfinished
	}
	b.markLast(unix.NLM_F_ACK)
	at := b.Len()
	b.message(NFNL_MSG_BATCH_END, 0, uint32(b.count+1), NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES)
	binary.NativeEndian.PutUint32(b.b[at:], uint32(b.Len()-at))
	parts := append(slices.Clip(b.chunks), b.b)
	binary.BigEndian.PutUint32(parts[0][headerLen+genHeaderLen+attrHeaderLen:], b.Generation)
	return parts, nil
}

func (b *Batch) unseal() {
	b.Truncate(b.Len() - headerLen - genHeaderLen)
	b.markLast(0)
}

// markLast sets or clears NLM_F_ACK of the last message.
func (b *Batch) markLast(ack uint16) {
	at := b.b[b.last+6:]
	flags := binary.NativeEndian.Uint16(at)
	binary.NativeEndian.PutUint16(at, flags&^unix.NLM_F_ACK|ack)
}

// cursor finds messages of an encoded batch in rising order, walking it once.
// The zero cursor is at the batch's begin.
type cursor struct{ chunk, at, index int }

// find gives the message with that index, nil if there is none.
func (c *cursor) find(b *Batch, index int) []byte {
	if index < 0 {
		return nil
	}
	if index < c.index-1 {
		*c = cursor{}
	}
	for ; c.chunk <= len(b.chunks); c.chunk, c.at = c.chunk+1, 0 {
		p := b.b
		if c.chunk < len(b.chunks) {
			p = b.chunks[c.chunk]
		}
		for len(p)-c.at >= headerLen {
			n := int(binary.NativeEndian.Uint32(p[c.at:]))
			if n < headerLen || n > len(p)-c.at {
				return nil
			}
			if c.index = int(binary.NativeEndian.Uint32(p[c.at+8:])); c.index == index+1 {
				return p[c.at : c.at+n]
			}
			c.at += n
		}
	}
	return nil
}
