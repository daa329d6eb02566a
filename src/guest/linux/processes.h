// SPDX-License-Identifier: Apache-2.0
// guest/linux/processes.h: which processes there are: the leaders of the guest's thread groups.
#pragma once

#include "guest/linux/task.h"

namespace xfilter::guest::linux {

enum class Search {
  task_list,   // where the kernel itself looks: cheap, and blind to what was taken out of the list
  everywhere,  // the table of pids and what runs on the CPUs, too
};

struct Leaders {
  std::vector<VirtAddr> all;        // task_structs, each once
  std::optional<Error> incomplete;  // why a structure could not be read to its end
};

// Cost: a read a process; everywhere: four or five.
Leaders find_leaders(const View& view, Search search, Budget& budget);

}  // namespace xfilter::guest::linux
