// SPDX-License-Identifier: Apache-2.0
// guest/linux/files.h: descriptor tables of tasks.
#pragma once

#include <vector>

#include "guest/linux/task.h"

namespace xfilter::guest::linux {

// The guest decides on the length of its tables (RLIMIT_NOFILE, at most fs.nr_open). Beyond this
// many slots a table is read in part, and whoever asked is told.
inline constexpr std::uint32_t kMostDescriptors = 1 << 20;

// The struct file pointers of a files_struct, by descriptor number; closed descriptors are none.
// Costs a step a page of the table; budget_exhausted when it is longer than kMostDescriptors.
Result<std::vector<VirtAddr>> read_descriptors(const View& view, VirtAddr files_struct,
                                               Budget& budget);

// Just the pointer in one slot; none when the table is shorter by now.
Result<VirtAddr> read_descriptor(const View& view, VirtAddr files_struct, std::uint32_t fd);

}  // namespace xfilter::guest::linux
