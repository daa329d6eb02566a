// SPDX-License-Identifier: Apache-2.0
// The kernel's lists and the table of pids: processes, threads, net namespaces, modules.
#include "guest/linux/modules.h"
#include "guest/linux/processes.h"
#include "guest/linux/socket_tables.h"
#include "guest/linux/task.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::uint64_t kBudget = 5'000;

class ListReader final : public Reader {
 public:
  explicit ListReader(const guest::linux::View& view) : view_(view), tasks_(tasks_of(view)) {}

  std::size_t choices() const override { return 4 + tasks_.size(); }
  void read(std::size_t choice) override {
    Budget budget(kBudget);
    std::uint64_t visits = 0;
    const auto visit = [&](guest::VirtAddr) -> Result<void> {
      ++visits;
      return {};
    };
    if (choice == 0) {
      expect_bounded(guest::linux::find_leaders(view_, guest::linux::Search::task_list, budget));
    } else if (choice == 1) {
      expect_bounded(guest::linux::find_leaders(view_, guest::linux::Search::everywhere, budget));
    } else if (choice == 2) {
      (void)guest::linux::find_module(view_, "nf_conntrack");
    } else if (choice == 3) {
      const auto nets = guest::linux::walk_nets(view_, Budget(kBudget));
      expect(!nets || nets->size() <= kBudget, "more namespaces than steps");
    } else {
      (void)guest::linux::walk_threads(view_, tasks_[choice - 4], budget, visit);
    }
    expect(visits <= kBudget, "more visits than steps");
  }

 private:
  static void expect_bounded(const guest::linux::Leaders& leaders) {
    expect(leaders.all.size() <= kBudget, "more processes than steps");
  }

  const guest::linux::View& view_;
  std::vector<guest::linux::Task> tasks_;
};

}  // namespace

// A step reads one pointer; of a namespace its number too; of what runs on a CPU, the task.
const std::uint64_t kMostSteps = 20 * kBudget;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<ListReader>(view);
}

}  // namespace xfilter::fuzz
