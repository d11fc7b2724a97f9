package nft

// Message types, attributes and flags of nf_tables objects, with the kernel's
// own spelling. Those of expressions are in const_expr.go.

// UAPI: linux/netfilter/nfnetlink.h; NLMSG_MIN_TYPE is 0x10.
const (
	NFNL_SUBSYS_NFTABLES   = 10
	NFNL_SUBSYS_NFT_COMPAT = 11

	NFNL_MSG_BATCH_BEGIN = 0x10
	NFNL_MSG_BATCH_END   = 0x11

	NFNL_BATCH_GENID = 1

	NFNETLINK_V0 = 0
)

// UAPI: linux/netfilter/nf_tables.h, enum nf_tables_msg_types. Those from
// NFT_MSG_GETRULE_RESET on came with Linux 6.2 to 6.5.
const (
	NFT_MSG_NEWTABLE         = 0
	NFT_MSG_GETTABLE         = 1
	NFT_MSG_DELTABLE         = 2
	NFT_MSG_NEWCHAIN         = 3
	NFT_MSG_GETCHAIN         = 4
	NFT_MSG_DELCHAIN         = 5
	NFT_MSG_NEWRULE          = 6
	NFT_MSG_GETRULE          = 7
	NFT_MSG_DELRULE          = 8
	NFT_MSG_NEWSET           = 9
	NFT_MSG_GETSET           = 10
	NFT_MSG_DELSET           = 11
	NFT_MSG_NEWSETELEM       = 12
	NFT_MSG_GETSETELEM       = 13
	NFT_MSG_DELSETELEM       = 14
	NFT_MSG_NEWGEN           = 15
	NFT_MSG_GETGEN           = 16
	NFT_MSG_TRACE            = 17
	NFT_MSG_NEWOBJ           = 18
	NFT_MSG_GETOBJ           = 19
	NFT_MSG_DELOBJ           = 20
	NFT_MSG_GETOBJ_RESET     = 21
	NFT_MSG_NEWFLOWTABLE     = 22
	NFT_MSG_GETFLOWTABLE     = 23
	NFT_MSG_DELFLOWTABLE     = 24
	NFT_MSG_GETRULE_RESET    = 25
	NFT_MSG_GETSETELEM_RESET = 33
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_gen_attributes.
const (
	NFTA_GEN_ID        = 1
	NFTA_GEN_PROC_PID  = 2
	NFTA_GEN_PROC_NAME = 3
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_table_attributes and nft_table_flags.
const (
	NFTA_TABLE_NAME     = 1
	NFTA_TABLE_FLAGS    = 2
	NFTA_TABLE_USE      = 3
	NFTA_TABLE_HANDLE   = 4
	NFTA_TABLE_USERDATA = 6
	NFTA_TABLE_OWNER    = 7

	NFT_TABLE_F_DORMANT = 0x1
	NFT_TABLE_F_OWNER   = 0x2
	NFT_TABLE_F_PERSIST = 0x4
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_chain_attributes and nft_chain_flags.
const (
	NFTA_CHAIN_TABLE    = 1
	NFTA_CHAIN_HANDLE   = 2
	NFTA_CHAIN_NAME     = 3
	NFTA_CHAIN_HOOK     = 4
	NFTA_CHAIN_POLICY   = 5
	NFTA_CHAIN_USE      = 6
	NFTA_CHAIN_TYPE     = 7
	NFTA_CHAIN_COUNTERS = 8
	NFTA_CHAIN_FLAGS    = 10
	NFTA_CHAIN_ID       = 11
	NFTA_CHAIN_USERDATA = 12

	NFT_CHAIN_BASE       = 0x1
	NFT_CHAIN_HW_OFFLOAD = 0x2
	NFT_CHAIN_BINDING    = 0x4
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_hook_attributes; the devices in
// NFTA_HOOK_DEVS are attributes of enum nft_devices_attributes.
const (
	NFTA_HOOK_HOOKNUM  = 1
	NFTA_HOOK_PRIORITY = 2
	NFTA_HOOK_DEV      = 3
	NFTA_HOOK_DEVS     = 4

	NFTA_DEVICE_NAME = 1
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_rule_attributes,
// nft_rule_compat_attributes and nft_rule_compat_flags.
const (
	NFTA_RULE_TABLE       = 1
	NFTA_RULE_CHAIN       = 2
	NFTA_RULE_HANDLE      = 3
	NFTA_RULE_EXPRESSIONS = 4
	NFTA_RULE_COMPAT      = 5
	NFTA_RULE_POSITION    = 6
	NFTA_RULE_USERDATA    = 7
	NFTA_RULE_ID          = 9
	NFTA_RULE_POSITION_ID = 10
	NFTA_RULE_CHAIN_ID    = 11

	NFTA_RULE_COMPAT_PROTO = 1
	NFTA_RULE_COMPAT_FLAGS = 2

	NFT_RULE_COMPAT_F_INV = 0x2
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_set_attributes,
// nft_set_desc_attributes, nft_set_field_attributes, nft_set_flags and
// nft_set_policies.
const (
	NFTA_SET_TABLE       = 1
	NFTA_SET_NAME        = 2
	NFTA_SET_FLAGS       = 3
	NFTA_SET_KEY_TYPE    = 4
	NFTA_SET_KEY_LEN     = 5
	NFTA_SET_DATA_TYPE   = 6
	NFTA_SET_DATA_LEN    = 7
	NFTA_SET_POLICY      = 8
	NFTA_SET_DESC        = 9
	NFTA_SET_ID          = 10
	NFTA_SET_TIMEOUT     = 11
	NFTA_SET_GC_INTERVAL = 12
	NFTA_SET_USERDATA    = 13
	NFTA_SET_OBJ_TYPE    = 15
	NFTA_SET_HANDLE      = 16
	NFTA_SET_EXPR        = 17
	NFTA_SET_EXPRESSIONS = 18

	NFTA_SET_DESC_SIZE   = 1
	NFTA_SET_DESC_CONCAT = 2

	NFTA_SET_FIELD_LEN = 1

	NFT_SET_ANONYMOUS = 0x1
	NFT_SET_CONSTANT  = 0x2
	NFT_SET_INTERVAL  = 0x4
	NFT_SET_MAP       = 0x8
	NFT_SET_TIMEOUT   = 0x10
	NFT_SET_EVAL      = 0x20
	NFT_SET_OBJECT    = 0x40
	NFT_SET_CONCAT    = 0x80
	NFT_SET_EXPR      = 0x100

	NFT_SET_POL_PERFORMANCE = 0
	NFT_SET_POL_MEMORY      = 1

	NFT_DATA_VALUE   = 0
	NFT_DATA_VERDICT = 0xffffff00
)

// UAPI: linux/netfilter/nf_tables.h, enum nft_set_elem_attributes,
// nft_set_elem_list_attributes and nft_set_elem_flags.
const (
	NFTA_SET_ELEM_KEY         = 1
	NFTA_SET_ELEM_DATA        = 2
	NFTA_SET_ELEM_FLAGS       = 3
	NFTA_SET_ELEM_TIMEOUT     = 4
	NFTA_SET_ELEM_EXPIRATION  = 5
	NFTA_SET_ELEM_USERDATA    = 6
	NFTA_SET_ELEM_EXPR        = 7
	NFTA_SET_ELEM_OBJREF      = 9
	NFTA_SET_ELEM_KEY_END     = 10
	NFTA_SET_ELEM_EXPRESSIONS = 11

	NFTA_SET_ELEM_LIST_TABLE    = 1
	NFTA_SET_ELEM_LIST_SET      = 2
	NFTA_SET_ELEM_LIST_ELEMENTS = 3
	NFTA_SET_ELEM_LIST_SET_ID   = 4

	NFT_SET_ELEM_INTERVAL_END = 0x1
	NFT_SET_ELEM_CATCHALL     = 0x2
)

// UAPI: linux/netfilter/nf_tables_compat.h. NFTA_COMPAT_TYPE is 0 for a match
// and 1 for a target.
const (
	NFNL_MSG_COMPAT_GET = 0

	NFTA_COMPAT_NAME = 1
	NFTA_COMPAT_REV  = 2
	NFTA_COMPAT_TYPE = 3

	NFT_COMPAT_NAME_MAX = 32
)

// Limits of names and user data in bytes.
// UAPI: linux/netfilter/nf_tables.h; a name's limit includes its zero byte.
const (
	NFT_NAME_MAXLEN     = 256
	NFT_USERDATA_MAXLEN = 256
)

// UAPI: linux/netfilter.h, the families of nfgenmsg.
const (
	NFPROTO_UNSPEC = 0
	NFPROTO_INET   = 1
	NFPROTO_IPV4   = 2
	NFPROTO_ARP    = 3
	NFPROTO_NETDEV = 5
	NFPROTO_BRIDGE = 7
	NFPROTO_IPV6   = 10
)

// UAPI: linux/netfilter.h, enum nf_inet_hooks.
const (
	NF_INET_PRE_ROUTING  = 0
	NF_INET_LOCAL_IN     = 1
	NF_INET_FORWARD      = 2
	NF_INET_LOCAL_OUT    = 3
	NF_INET_POST_ROUTING = 4
	NF_INET_INGRESS      = 5
)

// UAPI: linux/netfilter_ipv4.h, enum nf_ip_hook_priorities; IPv6 has the same
// numbers (linux/netfilter_ipv6.h).
const (
	NF_IP_PRI_RAW      = -300
	NF_IP_PRI_MANGLE   = -150
	NF_IP_PRI_NAT_DST  = -100
	NF_IP_PRI_FILTER   = 0
	NF_IP_PRI_SECURITY = 50
	NF_IP_PRI_NAT_SRC  = 100
)
