// SPDX-License-Identifier: Apache-2.0
// guest/linux/shared_ip_ids.h: the identification that the guest's kernel writes into the IPv4
// headers of unconnected sockets (__ip_select_ident(), net/ipv4/route.c).
//
// They share some thousand counters, one for each destination, source and protocol. Connected
// sockets count by themselves (read_next_ip_id()); before v5.17 and its backports (commit
// 23f57406b82d "ipv4: avoid using shared IP generator for connected sockets") those used the shared
// counters too, if they let the network fragment. Threads: any.
#pragma once

#include "guest/linux/view.h"
#include "packet/flow.h"

namespace xfilter::guest::linux {

class SharedIpIds {
 public:
  // `view` is borrowed.
  explicit SharedIpIds(const View& view);

  // What the next packet of `net` with these addresses and protocol will carry, or a little more.
  // None when the guest's kernel has no such counters where we look.
  // Cost: four reads.
  Result<std::optional<std::uint16_t>> next(VirtAddr net, const packet::Flow& flow) const;

 private:
  const View* view_;
  std::optional<VirtAddr> counters_, mask_;  // the variables ip_idents and ip_idents_mask
};

}  // namespace xfilter::guest::linux
