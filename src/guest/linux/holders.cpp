// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/holders.h"

#include <set>
#include <unordered_map>

#include "guest/linux/socket.h"

namespace xfilter::guest::linux {
namespace {

struct Slot {
  VirtAddr file;
  std::uint32_t fd = 0;
};

class Walk {
 public:
  Walk(const View& view, Budget& budget) : view_(view), budget_(budget) {}

  Holders run(Search search) {
    const Leaders leaders = find_leaders(view_, search, budget_);
    holders_.is_complete = !leaders.incomplete;
    for (const VirtAddr at : leaders.all) {
      auto leader = read_task(view_, at);
      if (!leader || leader->tgid != leader->pid) {
        holders_.is_complete = false;
        continue;
      }
      if (leader->is_kernel_thread) continue;  // they share the idle task's table: no sockets
      add_process(*leader);
    }
    return std::move(holders_);
  }

 private:
  void add_process(const Task& leader) {
    add_table(leader, leader.at, leader.files);
    auto walked = walk_threads(view_, leader, budget_, [&](VirtAddr thread) -> Result<void> {
      if (thread == leader.at) return {};
      XF_TRY(files, view_.read_pointer(thread, view_.layout().task_files));
      add_table(leader, thread, files);
      return {};
    });
    if (!walked) holders_.is_complete = false;
  }

  // Threads share a table, and processes may (CLONE_FILES): each is a holder, the slots are read
  // once.
  void add_table(const Task& process, VirtAddr thread, VirtAddr files) {
    if (!files || !seen_.emplace(files.value, process.at.value).second) return;
    const auto [found, is_new] = slots_.try_emplace(files.value);
    if (is_new) found->second = read_socket_slots(files);
    for (const Slot& slot : found->second) {
      // A step for each: many processes that share one large table are many more holders than
      // slots.
      if (!budget_.spend("holders")) {
        holders_.is_complete = false;
        return;
      }
      holders_.all.push_back({slot.file, slot.fd, files, thread, process});
    }
  }

  std::vector<Slot> read_socket_slots(VirtAddr files) {
    std::vector<Slot> slots;
    auto descriptors = read_descriptors(view_, files, budget_);
    if (!descriptors) {
      holders_.is_complete = false;
      return slots;
    }
    for (std::uint32_t fd = 0; fd < descriptors->size(); ++fd) {
      const VirtAddr file = (*descriptors)[fd];
      if (!file) continue;
      if (!budget_.spend("descriptor tables")) {
        holders_.is_complete = false;
        return slots;
      }
      auto sock = read_sock_of_file(view_, file);
      if (sock && *sock) slots.push_back({file, fd});
    }
    return slots;
  }

  const View& view_;
  Budget& budget_;
  Holders holders_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen_;      // files_struct, process
  std::unordered_map<std::uint64_t, std::vector<Slot>> slots_;  // by files_struct
};

}  // namespace

Holders walk_holders(const View& view, Search search, Budget& budget) {
  return Walk(view, budget).run(search);
}

}  // namespace xfilter::guest::linux
