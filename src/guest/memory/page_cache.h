// SPDX-License-Identifier: Apache-2.0
// guest/memory/page_cache.h: remembers pages of slow RAM for the length of one look-up.
//
// A look-up reads many small values from few pages, and a system call costs the same for 8 bytes as
// for 4096. begin_lookup() forgets everything in O(1), so no answer is older than its look-up.
// Neighbouring pages come with one call, so a range is read, or prefetched, as a whole where that
// is known to be wanted. Threads: one. Cost: no allocation after construction; a hit is a memcpy.
#pragma once

#include <vector>

#include "guest/address.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

class PageCache final : public Ram {
 public:
  // `inner` is borrowed and must outlive this.
  explicit PageCache(const Ram& inner)
      : inner_(inner), slots_(kSlots), bytes_(kSlots * kPageSize) {}

  std::uint64_t size() const override { return inner_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override;
  Result<void> sweep(std::uint64_t offset, std::span<std::byte> into) const override {
    return inner_.sweep(offset, into);
  }
  std::optional<Extent> next_data(std::uint64_t from) const override {
    return inner_.next_data(from);
  }

  void prefetch(std::uint64_t offset, std::uint64_t size) const override;
  void begin_lookup() const override { ++lookup_; }
  std::uint64_t misses() const {
    return misses_;
  }  // reads that went to `inner`, since construction

 private:
  static constexpr std::size_t kSlots = 512;  // 2 MiB; a walk of 100 tasks touches about 400 pages
  struct Slot {
    std::uint64_t page = 0;
    std::uint64_t lookup = 0;  // 0: never filled
  };

  bool is_known(std::uint64_t page) const {
    const Slot& slot = slots_[page % kSlots];
    return slot.lookup == lookup_ && slot.page == page;
  }
  std::byte* bytes_of(std::uint64_t page) const {
    return bytes_.data() + page % kSlots * kPageSize;
  }
  Result<void> fetch(std::uint64_t first, std::uint64_t pages) const;
  Result<void> fetch_up_to(std::uint64_t first, std::uint64_t last) const;

  const Ram& inner_;
  mutable std::uint64_t lookup_ = 1;
  mutable std::uint64_t misses_ = 0;
  mutable std::vector<Slot> slots_;
  mutable std::vector<std::byte> bytes_;  // of the slots: neighbouring pages lie side by side
};

}  // namespace xfilter::guest::memory
