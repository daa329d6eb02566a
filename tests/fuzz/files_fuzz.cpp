// SPDX-License-Identifier: Apache-2.0
// Descriptor tables: one, and all of them with what their files are.
#include "guest/linux/files.h"

#include "guest/linux/holders.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::uint64_t kBudget = 5'000;  // the undamaged walk needs a fifth of it

class FilesReader final : public Reader {
 public:
  explicit FilesReader(const guest::linux::View& view) : view_(view) {
    for (const auto& task : tasks_of(view))
      if (task.files && !task.is_kernel_thread) tables_.push_back(task.files);
  }

  std::size_t choices() const override { return 1 + tables_.size(); }
  void read(std::size_t choice) override {
    Budget budget(kBudget);
    if (choice == 0) {
      const auto holders =
          guest::linux::walk_holders(view_, guest::linux::Search::everywhere, budget);
      expect(holders.all.size() <= kBudget, "more holders than steps");
      return;
    }
    const guest::VirtAddr files = tables_[choice - 1];
    const auto slots = guest::linux::read_descriptors(view_, files, budget);
    expect(!slots || slots->size() <= guest::linux::kMostDescriptors, "a table beyond its bound");
    for (const std::uint32_t fd : {0u, 3u, 63u, 1u << 20, 0xffff'ffffu})
      (void)guest::linux::read_descriptor(view_, files, fd);
  }

 private:
  const guest::linux::View& view_;
  std::vector<guest::VirtAddr> tables_;
};

}  // namespace

// A step of the walk reads a task (a dozen reads) or a file (four); a page of a table is a step of
// both kinds.
const std::uint64_t kMostSteps = 16 * kBudget;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<FilesReader>(view);
}

}  // namespace xfilter::fuzz
