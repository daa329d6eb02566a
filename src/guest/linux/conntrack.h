// SPDX-License-Identifier: Apache-2.0
// guest/linux/conntrack.h: what a packet was before the guest's NAT: the guest's connection
// tracking.
//
// Containers' packets leave the guest with the guest's address. nf_conntrack knows each connection
// by two tuples, that of the first packet and that of the answers; a packet that leaves is the
// mirror image of one of them, and the other says who sent it.
// The table's hash function changed over time; all that are known are tried, and a wrong one finds
// nothing, for entries are compared in full. nf_conntrack is a module, and may come late or never.
#pragma once

#include <chrono>

#include "guest/linux/modules.h"
#include "packet/flow.h"

namespace xfilter::guest::linux {

class Conntrack {
 public:
  // `view` is borrowed.
  explicit Conntrack(const View& view) : view_(&view) {}

  // The flow as its sender saw it, which may be the same; none when the connection is not tracked
  // (or nothing is). `flow` is as seen outside: TCP, UDP, or echo requests.
  // Cost: six reads and a hash chain; one read when there is no connection tracking.
  Result<std::optional<packet::Flow>> before_nat(const packet::Flow& flow, Budget& budget);

  // The same by looking at every connection: the oracle of tests.
  Result<std::optional<packet::Flow>> before_nat_by_sweep(const packet::Flow& flow, Budget& budget);

 private:
  struct Table {
    VirtAddr buckets;  // of hlist_nulls_head
    std::uint32_t size = 0;
    std::array<std::byte, 16> random{};
  };
  Result<std::optional<Table>> table();
  Result<void> find_symbols();

  const View* view_;
  std::optional<Module> module_;  // none: built in, or not loaded
  VirtAddr newest_module_;        // when it was last looked for: nothing new, nothing to look for
  std::chrono::steady_clock::time_point searched_{};
  std::optional<kernel::Symbols> symbols_;
  int formula_ = 0;  // the one that found something last is tried first
};

}  // namespace xfilter::guest::linux
