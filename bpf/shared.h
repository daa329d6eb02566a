/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/shared.h: what the eBPF programs and datapath/ must agree on. C, for both compilers.
 *
 * All addresses and ports are in network byte order, as the packet has them. Padding is explicit and
 * always zero: these structs are map keys.
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
  __u16 vlan; /* VLAN id, host order, 0 when untagged */
  __u8 protocol;
  __u8 pad;
};

#endif
