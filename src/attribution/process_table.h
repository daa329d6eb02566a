// SPDX-License-Identifier: Apache-2.0
// attribution/process_table.h: facts of processes, read once and used as long as they hold; and who
// descended from whom, remembered when a parent is gone.
//
// A process that daemonises becomes init's child; its tree is told by what it was when we first saw
// it. observe() sees all there are, so that few are first seen too late. Threads: one. Memory: at
// most kMost entries of each kind; the oldest half goes first.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "guest/linux/task.h"
#include "model/owner.h"

namespace xfilter::attribution {

class ProcessTable {
 public:
  // `view` is borrowed; a table is of one boot of the guest.
  explicit ProcessTable(const guest::linux::View& view) : view_(&view) {}

  // Facts of the process that this task_struct leads, true at this moment; whether it hides, a
  // second ago. Cost: a dozen reads when they are known already; guest/linux/process.h when not.
  Result<model::ProcessRef> find(guest::VirtAddr leader, Budget& budget);

  // Goes through all processes, round after round, and remembers the parents of those that are new.
  // A few at a time: to be called all the while.
  // Cost: a dozen reads a process, and some 50 more for each that is new.
  void observe();

  // What the processes run, or ran, that are remembered.
  std::unordered_set<std::string> programs_seen() const;

 private:
  struct Known {
    guest::linux::Task task;
    model::ProcessRef facts;
    std::chrono::steady_clock::time_point looked;  // whether it hides
  };
  struct Descent {
    std::string comm, exe;  // as they were when it was last seen
    model::ProcessId parent;
    std::uint64_t seen = 0;
  };

  bool was_hidden_or_shown(Known& known) const;
  void remember(const model::Process& process);
  void forget_the_older_half();
  std::vector<model::Ancestor> ancestors_of(model::ProcessId id) const;

  const guest::linux::View* view_;
  std::unordered_map<std::uint64_t, Known> known_;  // by task_struct
  std::map<model::ProcessId, Descent> descents_;
  std::uint64_t now_ = 0;                    // counts what is seen
  std::vector<guest::VirtAddr> unobserved_;  // leaders, in this round
  std::chrono::steady_clock::time_point observed_{};
};

}  // namespace xfilter::attribution
