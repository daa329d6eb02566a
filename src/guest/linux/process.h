// SPDX-License-Identifier: Apache-2.0
// guest/linux/process.h: all that is known of a process, read in one go.
//
// Cost: some 60 reads and, for each ancestor, 15: callers keep what they got and compare the Task.
// Of the budget a step for each ancestor and each component of its and their paths.
#pragma once

#include "guest/linux/task.h"
#include "model/owner.h"

namespace xfilter::guest::linux {

// The facts of the process that `leader` leads. An error if it changed or ended while it was read.
// A fact that cannot be told (a cgroup that was removed, a process that is ending) stays empty.
Result<model::Process> read_process(const View& view, const Task& leader, Budget& budget);

}  // namespace xfilter::guest::linux
