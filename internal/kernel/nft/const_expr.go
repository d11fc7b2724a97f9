package nft

// Attributes and values of expressions, spelled as in linux/netfilter/nf_tables.h.
const (
	NFTA_LIST_ELEM = 1

	NFTA_EXPR_NAME = 1
	NFTA_EXPR_DATA = 2

	NFTA_DATA_VALUE   = 1
	NFTA_DATA_VERDICT = 2

	NFTA_VERDICT_CODE     = 1
	NFTA_VERDICT_CHAIN    = 2
	NFTA_VERDICT_CHAIN_ID = 3

	NFTA_IMMEDIATE_DREG = 1
	NFTA_IMMEDIATE_DATA = 2

	NFTA_BITWISE_SREG = 1
	NFTA_BITWISE_DREG = 2
	NFTA_BITWISE_LEN  = 3
	NFTA_BITWISE_MASK = 4
	NFTA_BITWISE_XOR  = 5
	NFTA_BITWISE_OP   = 6
	NFTA_BITWISE_DATA = 7

	NFTA_BYTEORDER_SREG = 1
	NFTA_BYTEORDER_DREG = 2
	NFTA_BYTEORDER_OP   = 3
	NFTA_BYTEORDER_LEN  = 4
	NFTA_BYTEORDER_SIZE = 5

	NFTA_CMP_SREG = 1
	NFTA_CMP_OP   = 2
	NFTA_CMP_DATA = 3

	NFTA_RANGE_SREG      = 1
	NFTA_RANGE_OP        = 2
	NFTA_RANGE_FROM_DATA = 3
	NFTA_RANGE_TO_DATA   = 4

	NFTA_LOOKUP_SET    = 1
	NFTA_LOOKUP_SREG   = 2
	NFTA_LOOKUP_DREG   = 3
	NFTA_LOOKUP_SET_ID = 4
	NFTA_LOOKUP_FLAGS  = 5

	NFTA_PAYLOAD_DREG        = 1
	NFTA_PAYLOAD_BASE        = 2
	NFTA_PAYLOAD_OFFSET      = 3
	NFTA_PAYLOAD_LEN         = 4
	NFTA_PAYLOAD_SREG        = 5
	NFTA_PAYLOAD_CSUM_TYPE   = 6
	NFTA_PAYLOAD_CSUM_OFFSET = 7
	NFTA_PAYLOAD_CSUM_FLAGS  = 8

	NFTA_EXTHDR_DREG   = 1
	NFTA_EXTHDR_TYPE   = 2
	NFTA_EXTHDR_OFFSET = 3
	NFTA_EXTHDR_LEN    = 4
	NFTA_EXTHDR_FLAGS  = 5
	NFTA_EXTHDR_OP     = 6
	NFTA_EXTHDR_SREG   = 7

	NFTA_META_DREG = 1
	NFTA_META_KEY  = 2
	NFTA_META_SREG = 3

	NFTA_CT_DREG      = 1
	NFTA_CT_KEY       = 2
	NFTA_CT_DIRECTION = 3
	NFTA_CT_SREG      = 4

	NFTA_FIB_DREG   = 1
	NFTA_FIB_RESULT = 2
	NFTA_FIB_FLAGS  = 3

	NFTA_RT_DREG = 1
	NFTA_RT_KEY  = 2

	NFTA_SOCKET_KEY   = 1
	NFTA_SOCKET_DREG  = 2
	NFTA_SOCKET_LEVEL = 3

	NFTA_LIMIT_RATE  = 1
	NFTA_LIMIT_UNIT  = 2
	NFTA_LIMIT_BURST = 3
	NFTA_LIMIT_TYPE  = 4
	NFTA_LIMIT_FLAGS = 5

	NFTA_COUNTER_BYTES   = 1
	NFTA_COUNTER_PACKETS = 2

	NFTA_LOG_GROUP      = 1
	NFTA_LOG_PREFIX     = 2
	NFTA_LOG_SNAPLEN    = 3
	NFTA_LOG_QTHRESHOLD = 4
	NFTA_LOG_LEVEL      = 5
	NFTA_LOG_FLAGS      = 6

	NFTA_REJECT_TYPE      = 1
	NFTA_REJECT_ICMP_CODE = 2

	NFTA_NAT_TYPE          = 1
	NFTA_NAT_FAMILY        = 2
	NFTA_NAT_REG_ADDR_MIN  = 3
	NFTA_NAT_REG_ADDR_MAX  = 4
	NFTA_NAT_REG_PROTO_MIN = 5
	NFTA_NAT_REG_PROTO_MAX = 6
	NFTA_NAT_FLAGS         = 7

	NFTA_MASQ_FLAGS         = 1
	NFTA_MASQ_REG_PROTO_MIN = 2
	NFTA_MASQ_REG_PROTO_MAX = 3

	NFTA_REDIR_REG_PROTO_MIN = 1
	NFTA_REDIR_REG_PROTO_MAX = 2
	NFTA_REDIR_FLAGS         = 3

	NFTA_MATCH_NAME = 1 // enum nft_match_attributes, linux/netfilter/nf_tables_compat.h
	NFTA_MATCH_REV  = 2
	NFTA_MATCH_INFO = 3

	NFTA_TARGET_NAME = 1 // enum nft_target_attributes, linux/netfilter/nf_tables_compat.h
	NFTA_TARGET_REV  = 2
	NFTA_TARGET_INFO = 3
)

// Registers, enum nft_registers. iptables-nft uses the verdict and the first.
const (
	NFT_REG_VERDICT = 0
	NFT_REG_1       = 1
	NFT_REG_2       = 2
	NFT_REG_3       = 3
	NFT_REG_4       = 4
	NFT_REG32_00    = 8
	NFT_REG32_15    = 23
)

// Verdict codes, enum nft_verdicts and NF_* of linux/netfilter.h.
const (
	NF_DROP      int32 = 0
	NF_ACCEPT    int32 = 1
	NF_QUEUE     int32 = 3
	NFT_CONTINUE int32 = -1
	NFT_BREAK    int32 = -2
	NFT_JUMP     int32 = -3
	NFT_GOTO     int32 = -4
	NFT_RETURN   int32 = -5
)

// Comparison operators, enum nft_cmp_ops. Ranges use the first two (enum nft_range_ops).
const (
	NFT_CMP_EQ  = 0
	NFT_CMP_NEQ = 1
	NFT_CMP_LT  = 2
	NFT_CMP_LTE = 3
	NFT_CMP_GT  = 4
	NFT_CMP_GTE = 5
)

// Payload bases, enum nft_payload_bases.
const (
	NFT_PAYLOAD_LL_HEADER        = 0
	NFT_PAYLOAD_NETWORK_HEADER   = 1
	NFT_PAYLOAD_TRANSPORT_HEADER = 2
	NFT_PAYLOAD_INNER_HEADER     = 3
)

// Meta keys, enum nft_meta_keys.
const (
	NFT_META_LEN       = 0
	NFT_META_PROTOCOL  = 1
	NFT_META_PRIORITY  = 2
	NFT_META_MARK      = 3
	NFT_META_IIF       = 4
	NFT_META_OIF       = 5
	NFT_META_IIFNAME   = 6
	NFT_META_OIFNAME   = 7
	NFT_META_IIFTYPE   = 8
	NFT_META_OIFTYPE   = 9
	NFT_META_SKUID     = 10
	NFT_META_SKGID     = 11
	NFT_META_NFTRACE   = 12
	NFT_META_RTCLASSID = 13
	NFT_META_SECMARK   = 14
	NFT_META_NFPROTO   = 15
	NFT_META_L4PROTO   = 16
	NFT_META_PKTTYPE   = 19
	NFT_META_CPU       = 20
	NFT_META_IIFGROUP  = 21
	NFT_META_OIFGROUP  = 22
	NFT_META_CGROUP    = 23
	NFT_META_PRANDOM   = 24
)

// Conntrack keys, enum nft_ct_keys.
const (
	NFT_CT_STATE     = 0
	NFT_CT_DIRECTION = 1
	NFT_CT_STATUS    = 2
	NFT_CT_MARK      = 3
	NFT_CT_HELPER    = 6
	NFT_CT_PROTOCOL  = 10
	NFT_CT_LABELS    = 13
	NFT_CT_ZONE      = 17
)

// Limits: enum nft_limit_type and enum nft_limit_flags.
const (
	NFT_LIMIT_PKTS      = 0
	NFT_LIMIT_PKT_BYTES = 1
	NFT_LIMIT_F_INV     = 1
)

// NAT types, enum nft_nat_types.
const (
	NFT_NAT_SNAT = 0
	NFT_NAT_DNAT = 1
)

// Reject types, enum nft_reject_types.
const (
	NFT_REJECT_ICMP_UNREACH  = 0
	NFT_REJECT_TCP_RST       = 1
	NFT_REJECT_ICMPX_UNREACH = 2
)
