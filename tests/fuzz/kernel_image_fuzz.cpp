// SPDX-License-Identifier: Apache-2.0
// The search for the kernel in the guest's page tables, and the question whether it is still there.
#include "guest/kernel/kernel_image.h"

#include "tests/fuzz/hostile_guest.h"

namespace xfilter::fuzz {

// 256 pages of the first MiB; each candidate's tables, all 512 slots split; a sweep of 512 MiB for
// each candidate, with some places that look like a table.
const std::uint64_t kMostSteps = 120'000;

namespace {

class KernelImageReader final : public Reader {
 public:
  KernelImageReader(guest::memory::GuestMemory& memory, const guest::linux::View& view)
      : memory_(memory), profile_(view.profile()), low_size_(memory.low_size()) {}

  std::size_t choices() const override { return 2; }
  void read(std::size_t choice) override {
    if (choice == 0) {
      const auto found = guest::kernel::find_kernel_image(memory_);
      expect(!found || found->size <= 256 << 20, "the image is larger than any");
      expect(memory_.low_size() <= memory_.ram().size(), "low RAM is larger than RAM");
      memory_.set_low_size(low_size_);
      return;
    }
    std::uint64_t jiffies = 0;
    (void)profile_.still_holds(memory_, jiffies);
  }

 private:
  guest::memory::GuestMemory& memory_;
  const guest::kernel::Profile& profile_;
  std::uint64_t low_size_;
};

}  // namespace

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory& memory,
                                    const guest::linux::View& view) {
  return std::make_unique<KernelImageReader>(memory, view);
}

}  // namespace xfilter::fuzz
