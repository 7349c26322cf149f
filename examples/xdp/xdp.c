//go:build ignore

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16); /* UDP port, host byte order */
	__type(value, __u8);
} blocked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u16);
	__type(value, __u64); /* packets seen, dropped ones included */
} packets SEC(".maps");

static int udp_port(struct xdp_md *ctx, __u16 *port)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > end)
		return -1;
	/* IP options would move the UDP header. */
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
		return -1;
	*port = bpf_ntohs(udp->dest);
	return 0;
}

/* Counts UDP packets by destination port and drops those to blocked ports. */
SEC("xdp")
int filter_ports(struct xdp_md *ctx)
{
	__u64 one = 1, *seen;
	__u16 port;

	if (udp_port(ctx, &port))
		return XDP_PASS;
	seen = bpf_map_lookup_elem(&packets, &port);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&packets, &port, &one, BPF_ANY);
	return bpf_map_lookup_elem(&blocked, &port) ? XDP_DROP : XDP_PASS;
}

/* The interface whose marked packets are dropped. */
const volatile __u32 guarded_ifindex;
/* What an earlier program has written in front of the packet. */
const volatile __u32 drop_mark;

/* Drops what carries drop_mark as metadata and came in by guarded_ifindex. */
SEC("xdp")
int filter_mark(struct xdp_md *ctx)
{
	__u32 *mark = (void *)(long)ctx->data_meta;

	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return XDP_PASS;
	if (ctx->ingress_ifindex != guarded_ifindex || *mark != drop_mark)
		return XDP_PASS;
	return XDP_DROP;
}
