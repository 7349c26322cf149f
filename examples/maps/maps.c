//go:build ignore

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The counters of one tenant, by queue. */
struct counters {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
};

/* Tenants come and go: user space puts a map of counters here for each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 64);
	__type(key, __u32);
	__array(values, struct counters);
} tenants SEC(".maps");

/* Packets of tenants that are not there. It outlives the program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} strangers SEC(".maps");

static int count(void *map, __u32 key)
{
	__u64 *n = bpf_map_lookup_elem(map, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	return XDP_PASS;
}

/* Counts a packet for the tenant in its first four bytes. */
SEC("xdp")
int count_tenant(struct xdp_md *ctx)
{
	__u32 *tenant = (void *)(long)ctx->data;
	void *counters;

	if ((void *)(tenant + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	counters = bpf_map_lookup_elem(&tenants, tenant);
	if (!counters)
		return count(&strangers, 0);
	return count(counters, ctx->rx_queue_index);
}
