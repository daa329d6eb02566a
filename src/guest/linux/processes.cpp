// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/processes.h"

#include <unordered_set>

#include "guest/linux/pid_table.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::uint32_t kMostCpus = 8192;  // NR_CPUS of distributions

class Finder {
 public:
  Finder(const View& view, Budget& budget) : view_(view), budget_(budget) {}

  void by_task_list() {
    const kernel::Member link = view_.layout().task_tasks;
    note(walk_list(view_, view_.init_task() + link.offset, link, budget_, "task list",
                   [&](VirtAddr task) -> Result<void> {
                     add(task);
                     return {};
                   }));
  }

  void by_pid() {
    auto found = walk_pid_table(view_, budget_);
    if (!found) return note(tl::unexpected(found.error()));
    for (const VirtAddr leader : *found) add(leader);
  }

  // What runs, or waits for a CPU: a task may be in no other structure and run all the same.
  void by_run_queues() { note(walk_run_queues()); }

  Leaders take() { return std::move(leaders_); }

 private:
  void add(VirtAddr leader) {
    if (seen_.insert(leader.value).second) leaders_.all.push_back(leader);
  }
  void note(const Result<void>& walked) {
    if (!walked && !leaders_.incomplete) leaders_.incomplete = walked.error();
  }

  Result<void> walk_run_queues() {
    const auto& layout = view_.layout();
    const auto& symbols = view_.profile().symbols;
    XF_TRY(run_queues, symbols.need("runqueues"));
    XF_TRY(offsets, symbols.need("__per_cpu_offset"));
    XF_TRY(cpus_at, symbols.need("nr_cpu_ids"));
    XF_TRY(cpus, view_.space().read_value<std::uint32_t>(cpus_at));
    if (cpus > kMostCpus)
      return fail(Errc::guest_data_invalid, "nr_cpu_ids at {} is {}", cpus_at, cpus);
    for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
      XF_CHECK(budget_.spend("run queues"));
      XF_TRY(offset, view_.space().read_value<std::uint64_t>(offsets + std::uint64_t{cpu} * 8));
      const VirtAddr queue = run_queues + offset;
      XF_TRY(running, view_.read_pointer(queue, layout.rq_curr));
      add_leader_of(running);
      XF_CHECK(walk_list(view_, queue + layout.rq_cfs_tasks.offset, layout.task_se_group_node,
                         budget_, "run queue", [&](VirtAddr task) -> Result<void> {
                           add_leader_of(task);
                           return {};
                         }));
    }
    return {};
  }

  void add_leader_of(VirtAddr task) {
    auto leader = view_.read_pointer(task, view_.layout().task_group_leader);
    if (!leader) return;
    auto read = read_task(view_, *leader);
    if (read && read->pid != 0) add(*leader);  // not the idle task
  }

  const View& view_;
  Budget& budget_;
  Leaders leaders_;
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace

Leaders find_leaders(const View& view, Search search, Budget& budget) {
  Finder finder(view, budget);
  finder.by_task_list();
  if (search == Search::everywhere) {
    finder.by_pid();
    finder.by_run_queues();
  }
  return finder.take();
}

}  // namespace xfilter::guest::linux
