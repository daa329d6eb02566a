// SPDX-License-Identifier: Apache-2.0
// guest/linux/local_addresses.h: which addresses are a network namespace's own.
//
// What the guest forwards comes from addresses of others, and no socket of the namespace that
// forwards it sent it, unless it is bound to that very address (IP_TRANSPARENT).
// Threads: one. Bounded: kMostRemembered addresses are remembered, and believed after looking
// again.
#pragma once

#include <map>
#include <utility>

#include "guest/linux/view.h"
#include "packet/flow.h"

namespace xfilter::guest::linux {

class LocalAddresses {
 public:
  static constexpr std::size_t kMostRemembered = 1'024;

  // `view` is borrowed.
  explicit LocalAddresses(const View& view) : view_(&view) {}

  // Whether a device in `net` has this address.
  // Cost: four reads for one that is remembered; otherwise some four a device and two an address,
  // of which each costs a step.
  Result<bool> has(VirtAddr net, const packet::IpAddress& address, Budget& budget);

 private:
  bool has_still(VirtAddr net, const packet::IpAddress& address, VirtAddr ifaddr) const;

  const View* view_;
  // The struct in_ifaddr or inet6_ifaddr.
  std::map<std::pair<VirtAddr, packet::IpAddress>, VirtAddr> remembered_;
};

}  // namespace xfilter::guest::linux
