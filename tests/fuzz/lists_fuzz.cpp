// SPDX-License-Identifier: Apache-2.0
// The kernel's circular lists: tasks, threads, net namespaces.
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

  std::size_t choices() const override { return 2 + tasks_.size(); }
  void read(std::size_t choice) override {
    Budget budget(kBudget);
    std::uint64_t visits = 0;
    const auto visit = [&](guest::VirtAddr) -> Result<void> {
      ++visits;
      return {};
    };
    if (choice == 0) {
      (void)guest::linux::walk_processes(view_, budget, visit);
    } else if (choice == 1) {
      const auto nets = guest::linux::walk_nets(view_, Budget(kBudget));
      expect(!nets || nets->size() <= kBudget, "more namespaces than steps");
    } else {
      (void)guest::linux::walk_threads(view_, tasks_[choice - 2], budget, visit);
    }
    expect(visits <= kBudget, "more visits than steps");
  }

 private:
  const guest::linux::View& view_;
  std::vector<guest::linux::Task> tasks_;
};

}  // namespace

// A step reads one pointer, and of a namespace its number too.
const std::uint64_t kMostSteps = 2 * kBudget + 2;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<ListReader>(view);
}

}  // namespace xfilter::fuzz
