// SPDX-License-Identifier: Apache-2.0
// guest/linux/namespaces.h: which namespaces a task lives in, and what it is called there.
//
// Cost: read_namespaces about eight reads.
#pragma once

#include <string>
#include <vector>

#include "guest/linux/task.h"

namespace xfilter::guest::linux {

struct Namespaces {
  VirtAddr net;                // struct net
  std::uint32_t net_inum = 0;  // inode numbers, as in /proc/PID/ns
  VirtAddr mnt;                // struct mnt_namespace
  std::string hostname;        // of the UTS namespace
};
// A task that is ending has no nsproxy any more: guest_data_invalid.
Result<Namespaces> read_namespaces(const View& view, const Task& task);

// A task's pid in each pid namespace it is visible in, the initial one first (NSpid of
// /proc/PID/status).
Result<std::vector<std::int32_t>> read_ns_pids(const View& view, const Task& task);

// Pid of the session's leader in the initial namespace.
Result<std::int32_t> read_session(const View& view, const Task& task);

// /proc/sys/kernel/random/boot_id; none as long as nobody in the guest has asked for it.
Result<std::optional<std::string>> read_boot_id(const View& view);

}  // namespace xfilter::guest::linux
