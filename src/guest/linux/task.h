// SPDX-License-Identifier: Apache-2.0
// guest/linux/task.h: the guest's tasks (threads) and what identifies the process they belong to.
//
// Failure: an address that cannot be read, or an object that cannot be a task, is
// guest_data_invalid or
//          guest_page_not_present; nothing of it is returned.
// Cost:    read_task about a dozen reads in three or four pages.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "guest/linux/path.h"
#include "guest/linux/view.h"

namespace xfilter::guest::linux {

struct Task {
  VirtAddr at;  // the task_struct
  std::int32_t pid = 0;
  std::int32_t tgid = 0;
  std::string comm;
  std::chrono::nanoseconds start_boottime{0};
  bool is_kernel_thread = false;
  VirtAddr mm;     // none: kernel thread or zombie
  VirtAddr files;  // none: zombie
  VirtAddr signal;
  VirtAddr real_parent;
  VirtAddr cred;
  VirtAddr cgroups;     // struct css_set
  VirtAddr nsproxy;     // none: it is ending
  VirtAddr thread_pid;  // struct pid; none: it has ended

  // The same task with the same program, user, parent and namespaces: what was read of it then is
  // true now. Not of what a process may rewrite itself (its command line) or others of it (paths).
  bool operator==(const Task&) const = default;
};

struct Cred {
  std::uint32_t uid = 0, gid = 0, euid = 0, egid = 0;
};

Result<Task> read_task(const View& view, VirtAddr task_struct);
Result<Cred> read_cred(const View& view, const Task& task);
Result<std::int32_t> read_parent_pid(const View& view, const Task& task);  // tgid of real_parent

// Path of the program; empty for kernel threads and zombies.
Result<Path> read_exe(const View& view, const Task& task, Budget& budget);

// The login session that the audit system counts; none without one.
Result<std::optional<std::uint32_t>> read_audit_session(const View& view, const Task& task);

// argv as the process's memory has it now: the process may have rewritten it. Bounded; pages that
// the guest has not in memory end it. Empty for kernel threads.
Result<std::vector<std::string>> read_cmdline(const View& view, const Task& task);

// A moment in the VM's time; wide enough for any honest guest (pid_max is 4 million at most).
inline constexpr std::uint64_t kMostTasks = 100'000;

// Every thread of a group, the leader first.
template <class Visit>
Result<void> walk_threads(const View& view, const Task& leader, Budget& budget, Visit visit) {
  return walk_list(view, leader.signal + view.layout().signal_thread_head.offset,
                   view.layout().task_thread_node, budget, "thread list", visit);
}

}  // namespace xfilter::guest::linux
