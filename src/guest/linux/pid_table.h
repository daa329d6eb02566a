// SPDX-License-Identifier: Apache-2.0
// guest/linux/pid_table.h: the guest's table of pids, and whether a process is where it belongs.
//
// The kernel finds processes by two ways that must agree: the list of tasks, and the table of pids
// (init_pid_ns.idr, a radix tree of 64-way nodes; lib/radix-tree.c, include/linux/xarray.h). A
// process that one of them lacks was hidden by somebody.
#pragma once

#include "guest/linux/task.h"

namespace xfilter::guest::linux {

// The leader of the thread group with this pid; none when the table has no such process.
// Cost: two reads a level of the tree (one for pids below 64, two below 4096, ...), then three.
Result<VirtAddr> find_by_pid(const View& view, std::int32_t pid);

// The leaders of all thread groups in the table, ascending by pid.
// Cost: a page read for each 64 pids, and three reads a process.
Result<std::vector<VirtAddr>> walk_pid_table(const View& view, Budget& budget);

// Whether the list of tasks or the table of pids lacks this leader. Looks at the task's own links
// and those beside them only, and says yes when it still is so after looking anew.
Result<bool> is_hidden(const View& view, const Task& leader);

}  // namespace xfilter::guest::linux
