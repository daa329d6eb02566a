// SPDX-License-Identifier: Apache-2.0
// Page walks: of kernel addresses without the short cut of linear ranges, and of user addresses.
#include "guest/linux/task.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::size_t kLongest = 2 * guest::kPageSize;

class PageTableReader final : public Reader {
 public:
  PageTableReader(const guest::memory::GuestMemory& memory, const guest::linux::View& view)
      : memory_(memory), kernel_(view.profile().root) {
    for (const char* symbol : {"_text", "init_task", "socket_file_ops", "jiffies_64"})
      places_.push_back({kernel_, view.profile().symbols.find(symbol).value()});
    for (const auto& task : tasks_of(view)) {
      places_.push_back({kernel_, task.at});
      if (!task.mm) continue;
      const auto& layout = view.layout();
      const auto start = view.read_pointer(task.mm, layout.mm_arg_start).value();
      const auto pgd = view.read_pointer(task.mm, layout.mm_pgd).value();
      places_.push_back({{view.space().translate(pgd).value().at, kernel_.levels}, start});
    }
  }

  std::size_t choices() const override { return places_.size(); }
  void read(std::size_t choice) override {
    const auto& [root, at] = places_[choice];
    const guest::paging::VirtualMemory space(memory_, root);
    if (const auto found = space.translate(at)) {
      expect(found->bytes_left > 0, "a translation to nothing");
      expect(found->bytes_left <= 1 << 30, "a page larger than 1 GiB");
    }
    std::vector<std::byte> bytes(kLongest);
    (void)space.read(at, bytes);
    const auto text = space.read_string(at, kLongest);
    expect(!text || text->size() <= kLongest, "a string longer than asked for");
  }

 private:
  const guest::memory::GuestMemory& memory_;
  guest::paging::PageTableRoot kernel_;
  std::vector<std::pair<guest::paging::PageTableRoot, guest::VirtAddr>> places_;
};

}  // namespace

// A walk has five reads; a string is read in pieces of 256 bytes.
const std::uint64_t kMostSteps = 400;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory& memory,
                                    const guest::linux::View& view) {
  return std::make_unique<PageTableReader>(memory, view);
}

}  // namespace xfilter::fuzz
