// SPDX-License-Identifier: Apache-2.0
// datapath/traffic_control.h: our classifier on a netdev's ingress, among those of others.
//
// It goes where there is a place: on a clsact qdisc (made when there is none), or on an `ingress`
// qdisc that somebody else put there (libvirt's bandwidth limits do). Our filters end with
// TC_ACT_UNSPEC, so filters of others, before and after ours, keep their say. All of it works on
// the calling thread's network namespace, and needs CAP_NET_ADMIN.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace xfilter::datapath {

enum class IngressQdisc { none, clsact, ingress };
Result<IngressQdisc> ingress_qdisc_of(int ifindex);

struct BpfFilter {
  std::uint32_t parent = 0;  // tc handle of its hook
  std::uint32_t priority = 0;
  std::uint32_t handle = 0;
  std::uint32_t program_id = 0;  // 0: not a BPF filter
};
// All filters of the ingress and egress hooks.
Result<std::vector<BpfFilter>> filters_of(int ifindex);

struct AttachedFilter {
  int ifindex = 0;
  IngressQdisc qdisc = IngressQdisc::clsact;
  bool created_qdisc = false;
};
// Replaces our own filter, if one is there, in one step: no packet passes unfiltered.
Result<AttachedFilter> attach_filter(int ifindex, int program_fd);
// Removes our filter, and the clsact qdisc if it is ours and nobody else has a filter on it.
Result<void> detach_filter(const AttachedFilter& filter);

// The id of the program called `name` on the netdev's ingress, left by an earlier attach.
Result<std::optional<std::uint32_t>> find_program(int ifindex, const std::string& name);

}  // namespace xfilter::datapath
