//go:build ignore

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define DNS_PORT 53

const volatile __u32 dns_mark;
/* Where DNS goes; 0 leaves it on its way. */
const volatile __u32 redirect_ifindex;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} marked SEC(".maps");

static int is_dns(struct __sk_buff *skb)
{
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)(long)skb->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > end)
		return 0;
	return eth->h_proto == bpf_htons(ETH_P_IP) && ip->ihl == 5 &&
	       ip->protocol == IPPROTO_UDP && udp->dest == bpf_htons(DNS_PORT);
}

/* Marks DNS packets, counts them, and may send them elsewhere. */
SEC("tc")
int mark_dns(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *count;

	if (!is_dns(skb))
		return TC_ACT_OK;
	skb->mark = dns_mark;
	count = bpf_map_lookup_elem(&marked, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	if (redirect_ifindex)
		return bpf_redirect(redirect_ifindex, 0);
	return TC_ACT_OK;
}

/* A chain of three programs. Each adds its digit to the mark, so that the mark
 * tells which ran, and in which order. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u32);
} chain SEC(".maps");

SEC("tc")
int chain_first(struct __sk_buff *skb)
{
	skb->mark = 1;
	bpf_tail_call(skb, &chain, 1);
	return TC_ACT_SHOT;
}

SEC("tc")
int chain_second(struct __sk_buff *skb)
{
	skb->mark = skb->mark * 10 + 2;
	bpf_tail_call(skb, &chain, 2);
	return TC_ACT_SHOT;
}

SEC("tc")
int chain_third(struct __sk_buff *skb)
{
	skb->mark = skb->mark * 10 + 3;
	return TC_ACT_OK;
}

/* Calls itself until the kernel stops it, and leaves the number of calls that
 * were made in the mark. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} self SEC(".maps");

SEC("tc")
int call_self(struct __sk_buff *skb)
{
	skb->mark++;
	bpf_tail_call(skb, &self, 0);
	skb->mark--;
	return TC_ACT_OK;
}
