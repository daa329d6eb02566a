// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/holders.h"

#include <unordered_set>

#include "guest/linux/socket.h"

namespace xfilter::guest::linux {
namespace {

class Walk {
 public:
  Walk(const View& view, Budget& budget) : view_(view), budget_(budget) {}

  Result<Holders> run() {
    auto walked = walk_processes(view_, budget_, [&](VirtAddr at) -> Result<void> {
      auto leader = read_task(view_, at);
      if (!leader || leader->tgid != leader->pid) {
        holders_.is_complete = false;
        return {};
      }
      add_table_of(*leader);
      if (leader->is_kernel_thread) return {};
      if (!walk_threads(view_, *leader, budget_,
                        [&](VirtAddr thread) { return add_thread(*leader, thread); }))
        holders_.is_complete = false;
      return {};
    });
    if (!walked) return fail(walked.error());
    return std::move(holders_);
  }

 private:
  Result<void> add_thread(const Task& leader, VirtAddr at) {
    if (at == leader.at) return {};
    XF_TRY(files, view_.read_pointer(at, view_.layout().task_files));
    if (seen_.contains(files.value)) return {};
    XF_TRY(task, read_task(view_, at));
    add_table_of(task);
    return {};
  }

  void add_table_of(const Task& task) {
    // Kernel threads share the idle task's table and have no sockets in it.
    if (!task.files || task.is_kernel_thread || !seen_.insert(task.files.value).second) return;
    auto descriptors = read_descriptors(view_, task.files);
    if (!descriptors) {
      holders_.is_complete = false;
      return;
    }
    for (std::uint32_t fd = 0; fd < descriptors->size(); ++fd) {
      const VirtAddr file = (*descriptors)[fd];
      if (!file) continue;
      if (!budget_.spend("descriptor tables")) {
        holders_.is_complete = false;
        return;
      }
      auto sock = read_sock_of_file(view_, file);
      if (sock && *sock) holders_.all.push_back({file, fd, task.files, task});
    }
  }

  const View& view_;
  Budget& budget_;
  Holders holders_;
  std::unordered_set<std::uint64_t> seen_;  // files_structs
};

}  // namespace

Result<Holders> walk_holders(const View& view, Budget& budget) {
  return Walk(view, budget).run();
}

}  // namespace xfilter::guest::linux
