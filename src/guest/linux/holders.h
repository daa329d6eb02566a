// SPDX-License-Identifier: Apache-2.0
// guest/linux/holders.h: which processes hold which open sockets. The walk of everything.
//
// Descriptor tables lead from tasks to files, never back, so this is a walk: the fallback of
// attribution and its oracle.
// Cost: three to ten reads a process and its table; milliseconds on a busy guest.
#pragma once

#include <vector>

#include "guest/linux/files.h"
#include "guest/linux/processes.h"

namespace xfilter::guest::linux {

// One slot of one descriptor table, as seen from one process that uses the table.
struct Holder {
  VirtAddr file;
  std::uint32_t fd = 0;
  VirtAddr files_struct;
  VirtAddr thread;  // a task of the process that uses this table: the leader, unless threads differ
  Task process;     // the leader
};

struct Holders {
  std::vector<Holder> all;  // of socket files only
  bool is_complete = true;  // no task or table was left out (unreadable, over budget)
};

Holders walk_holders(const View& view, Search search, Budget& budget);

}  // namespace xfilter::guest::linux
