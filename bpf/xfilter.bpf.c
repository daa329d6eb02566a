// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// bpf/xfilter.bpf.c: the datapath of one VM netdev. Three classifiers:
//
//   xf_entry    ingress of the VM's netdev: every packet that the guest sends
//   xf_punt     reached from xf_entry by tail call only: to the agent
//   xf_release  ingress of the punt device: what the agent wrote back, on into xf_entry once more
//
// The crash switch: `tails` is held open by the agent alone. When the agent dies, the kernel empties it,
// the tail call falls through, and packets are no longer held. What is blocked stays blocked: `drops` is
// looked up before.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

// Set by the opener before loading.
const volatile __u32 vm_ifindex;
const volatile __u32 punt_ifindex;
const volatile __u32 release_mark;   // random; tap input has mark 0, so only xf_release can set it
const volatile __u32 held_limit;     // packets under way in the agent; beyond it, it counts as hung

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, struct xf_flow);
  __type(value, struct xf_drop);
} drops SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, struct xf_flow);
  __type(value, struct xf_pass);
} verdicts SEC(".maps");

// The one map that may forget by itself: what is lost is a flow's order guard, until it is judged again.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct xf_flow);
  __type(value, struct xf_held);
} held SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct xf_agent);
} agent SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct xf_counters);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} tails SEC(".maps");

#define COUNT(what) __sync_fetch_and_add(&(what), 1)
#define UNCOUNT(what) __sync_fetch_and_add(&(what), -1)

enum kind { KIND_IP, KIND_NOT_IP, KIND_MALFORMED };

#define TCP_SYN 0x02
#define TCP_ACK 0x10

struct vlan_tag {
  __be16 tci;
  __be16 next;
};

struct ports {
  __be16 src;
  __be16 dst;
};

// Ports, echo identifier and TCP flags of the transport header at `at`. Same rules as packet/parse.h.
static __always_inline enum kind parse_transport(struct __sk_buff *skb, __u32 at, struct xf_flow *flow,
                                                 __u8 *tcp_flags) {
  struct ports ports;
  __u8 icmp[8];

  switch (flow->protocol) {
    case IPPROTO_TCP:
      if (bpf_skb_load_bytes(skb, at + 13, tcp_flags, 1)) return KIND_MALFORMED;
      // fall through
    case IPPROTO_UDP:
      if (bpf_skb_load_bytes(skb, at, &ports, sizeof ports)) return KIND_MALFORMED;
      flow->src_port = ports.src;
      flow->dst_port = ports.dst;
      return KIND_IP;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      if (bpf_skb_load_bytes(skb, at, icmp, sizeof icmp)) return KIND_MALFORMED;
      if (icmp[0] == (flow->protocol == IPPROTO_ICMP ? 8 : 128) ||
          icmp[0] == (flow->protocol == IPPROTO_ICMP ? 0 : 129))
        __builtin_memcpy(&flow->src_port, &icmp[4], 2);
      return KIND_IP;
  }
  return KIND_IP;
}

static __always_inline enum kind parse_ipv4(struct __sk_buff *skb, __u32 at, struct xf_flow *flow, __u8 *tcp_flags) {
  struct iphdr ip;

  if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) || ip.version != 4 || ip.ihl < 5) return KIND_MALFORMED;
  flow->src[10] = flow->src[11] = flow->dst[10] = flow->dst[11] = 0xff;
  __builtin_memcpy(&flow->src[12], &ip.saddr, 4);
  __builtin_memcpy(&flow->dst[12], &ip.daddr, 4);
  flow->protocol = ip.protocol;
  if (ip.frag_off & bpf_htons(0x3fff)) return KIND_IP;  // a fragment: no ports, so that all are one flow
  return parse_transport(skb, at + ip.ihl * 4, flow, tcp_flags);
}

struct extension {
  __u8 next;
  __u8 length;
  __be16 offset; /* of a fragment header */
};

#define MOST_EXTENSIONS 8

static __always_inline enum kind parse_ipv6(struct __sk_buff *skb, __u32 at, struct xf_flow *flow, __u8 *tcp_flags) {
  struct ipv6hdr ip;
  struct extension extension;

  if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) || ip.version != 6) return KIND_MALFORMED;
  __builtin_memcpy(flow->src, &ip.saddr, 16);
  __builtin_memcpy(flow->dst, &ip.daddr, 16);
  flow->protocol = ip.nexthdr;
  at += sizeof ip;
  for (int i = 0; i < MOST_EXTENSIONS; ++i) {
    switch (flow->protocol) {
      case IPPROTO_HOPOPTS:
      case IPPROTO_ROUTING:
      case IPPROTO_DSTOPTS:
        if (bpf_skb_load_bytes(skb, at, &extension, sizeof extension)) return KIND_MALFORMED;
        flow->protocol = extension.next;
        at += 8 + extension.length * 8;
        break;
      case IPPROTO_FRAGMENT:
        if (bpf_skb_load_bytes(skb, at, &extension, sizeof extension)) return KIND_MALFORMED;
        flow->protocol = extension.next;
        at += 8;
        if (extension.offset & bpf_htons(0xfff9)) return KIND_IP;  // offset or more-fragments: no ports
        break;
      default:
        return parse_transport(skb, at, flow, tcp_flags);
    }
  }
  return KIND_MALFORMED;
}

static __always_inline enum kind parse(struct __sk_buff *skb, struct xf_flow *flow, __u8 *tcp_flags) {
  __u32 at = 12;
  __be16 protocol;

  if (skb->vlan_present) flow->vlan = skb->vlan_tci & 0xfff;
  if (bpf_skb_load_bytes(skb, at, &protocol, 2)) return KIND_MALFORMED;
  at += 2;
  for (int i = 0; i < 2; ++i) {
    struct vlan_tag tag;

    if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD)) break;
    if (bpf_skb_load_bytes(skb, at, &tag, sizeof tag)) return KIND_MALFORMED;
    if (!skb->vlan_present && i == 0) flow->vlan = bpf_ntohs(tag.tci) & 0xfff;
    protocol = tag.next;
    at += sizeof tag;
  }
  if (protocol == bpf_htons(ETH_P_IP)) return parse_ipv4(skb, at, flow, tcp_flags);
  if (protocol == bpf_htons(ETH_P_IPV6)) return parse_ipv6(skb, at, flow, tcp_flags);
  return KIND_NOT_IP;
}

static __always_inline struct xf_held *held_of(struct xf_flow *flow) {
  struct xf_held none = {};
  struct xf_held *found = bpf_map_lookup_elem(&held, flow);

  if (found) return found;
  bpf_map_update_elem(&held, flow, &none, BPF_NOEXIST);
  return bpf_map_lookup_elem(&held, flow);
}

// A packet that the agent released comes by again. Its mark is cleared: nobody else shall see it.
static __always_inline int second_pass(struct __sk_buff *skb, struct xf_counters *count) {
  struct xf_flow flow = {};
  struct xf_held *gate;
  __u8 tcp_flags = 0;

  skb->mark = 0;
  COUNT(count->released);
  parse(skb, &flow, &tcp_flags);
  gate = bpf_map_lookup_elem(&held, &flow);
  if (gate) COUNT(gate->released);
  return TC_ACT_UNSPEC;
}

SEC("tc")
int xf_entry(struct __sk_buff *skb) {
  struct xf_flow flow = {};
  struct xf_counters *count;
  struct xf_agent *control;
  struct xf_drop *drop;
  struct xf_held *gate;
  __u8 tcp_flags = 0;
  __u32 zero = 0;
  int is_blocked, is_new_connection;
  __u64 now;

  count = bpf_map_lookup_elem(&counters, &zero);
  control = bpf_map_lookup_elem(&agent, &zero);
  if (!count || !control) return TC_ACT_UNSPEC;  // cannot be: both are arrays
  if (skb->mark == release_mark) return second_pass(skb, count);

  switch (parse(skb, &flow, &tcp_flags)) {
    case KIND_NOT_IP:
      COUNT(count->not_ip);
      return TC_ACT_UNSPEC;
    case KIND_MALFORMED:
      COUNT(count->malformed);
      return TC_ACT_SHOT;
    case KIND_IP:
      break;
  }

  now = bpf_ktime_get_boot_ns();
  // A SYN opens a new connection, perhaps another process's, on a tuple that we may know: judge again.
  is_new_connection = flow.protocol == IPPROTO_TCP && (tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;

  drop = bpf_map_lookup_elem(&drops, &flow);
  is_blocked = drop && drop->generation == control->generation;
  if (is_blocked && !is_new_connection && now < drop->judge_again_ns) {
    COUNT(count->dropped);
    return TC_ACT_SHOT;
  }

  if (!is_blocked && !is_new_connection) {
    struct xf_pass *pass = bpf_map_lookup_elem(&verdicts, &flow);

    if (pass && pass->generation == control->generation && now < pass->judge_again_ns) {
      gate = bpf_map_lookup_elem(&held, &flow);
      if (!gate || gate->punted == gate->released + pass->lost) {
        COUNT(count->passed);
        return TC_ACT_UNSPEC;
      }
    }
  }

  if ((__s64)(count->punted - count->released - control->settled) < held_limit) {
    gate = held_of(&flow);
    if (gate)
      COUNT(gate->punted);
    else
      COUNT(count->ungated);
    COUNT(count->punted);
    bpf_tail_call(skb, &tails, 0);
    UNCOUNT(count->punted);  // nobody there: it was not held after all
    if (gate) UNCOUNT(gate->punted);
  }
  COUNT(count->not_held);
  if (is_blocked) {
    COUNT(count->dropped);
    return TC_ACT_SHOT;
  }
  return TC_ACT_UNSPEC;
}

SEC("tc")
int xf_punt(struct __sk_buff *skb) { return bpf_redirect(punt_ifindex, 0); }

SEC("tc")
int xf_release(struct __sk_buff *skb) {
  skb->mark = release_mark;
  return bpf_redirect(vm_ifindex, BPF_F_INGRESS);
}
