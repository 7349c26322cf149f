package main

import (
	"github.com/cilium/ebpf"
	libfeatures "github.com/cilium/ebpf/features"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

type programType struct {
	ebpf.ProgramType
	name string
}

// programTypes are named after enum bpf_prog_type of include/uapi/linux/bpf.h.
var programTypes = []programType{
	{ebpf.SocketFilter, "socket_filter"},
	{ebpf.Kprobe, "kprobe"},
	{ebpf.SchedCLS, "sched_cls"},
	{ebpf.SchedACT, "sched_act"},
	{ebpf.TracePoint, "tracepoint"},
	{ebpf.XDP, "xdp"},
	{ebpf.PerfEvent, "perf_event"},
	{ebpf.CGroupSKB, "cgroup_skb"},
	{ebpf.CGroupSock, "cgroup_sock"},
	{ebpf.LWTIn, "lwt_in"},
	{ebpf.LWTOut, "lwt_out"},
	{ebpf.LWTXmit, "lwt_xmit"},
	{ebpf.SockOps, "sock_ops"},
	{ebpf.SkSKB, "sk_skb"},
	{ebpf.CGroupDevice, "cgroup_device"},
	{ebpf.SkMsg, "sk_msg"},
	{ebpf.RawTracepoint, "raw_tracepoint"},
	{ebpf.CGroupSockAddr, "cgroup_sock_addr"},
	{ebpf.LWTSeg6Local, "lwt_seg6local"},
	{ebpf.LircMode2, "lirc_mode2"},
	{ebpf.SkReuseport, "sk_reuseport"},
	{ebpf.FlowDissector, "flow_dissector"},
	{ebpf.CGroupSysctl, "cgroup_sysctl"},
	{ebpf.RawTracepointWritable, "raw_tracepoint_writable"},
	{ebpf.CGroupSockopt, "cgroup_sockopt"},
	{ebpf.Tracing, "tracing"},
	{ebpf.StructOps, "struct_ops"},
	{ebpf.Extension, "ext"},
	{ebpf.LSM, "lsm"},
	{ebpf.SkLookup, "sk_lookup"},
	{ebpf.Syscall, "syscall"},
	{ebpf.Netfilter, "netfilter"},
}

type mapType struct {
	ebpf.MapType
	name string
}

// mapTypes are named after enum bpf_map_type.
var mapTypes = []mapType{
	{ebpf.Hash, "hash"},
	{ebpf.Array, "array"},
	{ebpf.ProgramArray, "prog_array"},
	{ebpf.PerfEventArray, "perf_event_array"},
	{ebpf.PerCPUHash, "percpu_hash"},
	{ebpf.PerCPUArray, "percpu_array"},
	{ebpf.StackTrace, "stack_trace"},
	{ebpf.CGroupArray, "cgroup_array"},
	{ebpf.LRUHash, "lru_hash"},
	{ebpf.LRUCPUHash, "lru_percpu_hash"},
	{ebpf.LPMTrie, "lpm_trie"},
	{ebpf.ArrayOfMaps, "array_of_maps"},
	{ebpf.HashOfMaps, "hash_of_maps"},
	{ebpf.DevMap, "devmap"},
	{ebpf.SockMap, "sockmap"},
	{ebpf.CPUMap, "cpumap"},
	{ebpf.XSKMap, "xskmap"},
	{ebpf.SockHash, "sockhash"},
	{ebpf.CGroupStorage, "cgroup_storage"},
	{ebpf.ReusePortSockArray, "reuseport_sockarray"},
	{ebpf.PerCPUCGroupStorage, "percpu_cgroup_storage"},
	{ebpf.Queue, "queue"},
	{ebpf.Stack, "stack"},
	{ebpf.SkStorage, "sk_storage"},
	{ebpf.DevMapHash, "devmap_hash"},
	{ebpf.StructOpsMap, "struct_ops"},
	{ebpf.RingBuf, "ringbuf"},
	{ebpf.InodeStorage, "inode_storage"},
	{ebpf.TaskStorage, "task_storage"},
	{ebpf.BloomFilter, "bloom_filter"},
	{ebpf.UserRingbuf, "user_ringbuf"},
	{ebpf.CgroupStorage, "cgrp_storage"},
	{ebpf.Arena, "arena"},
}

func probeTypes(t *features.Table) {
	for _, p := range programTypes {
		t.Add(features.Program, finding(p.name, libfeatures.HaveProgramType(p.ProgramType)))
	}
	for _, m := range mapTypes {
		t.Add(features.Map, finding(m.name, libfeatures.HaveMapType(m.MapType)))
	}
}
