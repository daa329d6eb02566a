/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/shared.h: what the eBPF programs and datapath/ must agree on. C, for both compilers.
 *
 * Addresses and ports are in network byte order, as the packet has them. Padding is explicit and
 * always zero: xf_flow is a map key.
 */
#ifndef XFILTER_BPF_SHARED_H
#define XFILTER_BPF_SHARED_H

#include <linux/types.h>

/* IPv4 addresses are v4-mapped (::ffff:a.b.c.d), so that one key serves both families. */
struct xf_flow {
  __u8 src[16];
  __u8 dst[16];
  __be16 src_port; /* ICMP echo: the identifier; no ports: 0 */
  __be16 dst_port;
  __u16 vlan; /* VLAN id of the outermost tag, host order, 0 when untagged */
  __u8 protocol;
  __u8 pad;
};

/* Map `drops`: flows whose packets are dropped in the kernel. Written by the agent. A drop has no end
 * of its own: when it is due to be judged again and there is no agent, it stays. */
struct xf_drop {
  __u64 judge_again_ns; /* CLOCK_BOOTTIME */
  __u32 generation;     /* counts only while equal to xf_agent.generation */
  __u32 pad;
};

/* Map `verdicts`: flows that pass without being held. Written by the agent. */
struct xf_pass {
  __u64 judge_again_ns;
  __u32 generation;
  __u32 lost; /* held packets of this flow that never came back, see xf_held */
};

/* Map `held`: how many packets of a flow went to the agent and came back. Written by the programs.
 * A pass verdict counts only when punted == released + lost: a packet that took the fast path
 * earlier would overtake those still on their way through the agent. */
struct xf_held {
  __u32 punted;
  __u32 released;
};

/* Map `agent`, one element: made by the opener, then written by the agent. */
struct xf_agent {
  __u64 settled;       /* held packets that will not come back: dropped by verdict, or lost */
  __u32 generation;    /* verdicts and drops of another generation do not count */
  __u32 created_qdisc; /* the netdev's clsact qdisc is xFilter's to remove: for who takes over */
};

/* Map `counters`, one element: written by the programs. Packets. */
struct xf_counters {
  __u64 passed;    /* by verdict */
  __u64 dropped;   /* by drop */
  __u64 punted;    /* held: sent to the agent */
  __u64 released;  /* came back from the agent */
  __u64 not_held;  /* should have been held, but the agent is dead or too far behind */
  __u64 ungated;   /* held while map `held` was full: their order is not guarded */
  __u64 not_ip;    /* passed */
  __u64 malformed; /* dropped */
};

#endif
