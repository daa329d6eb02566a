// SPDX-License-Identifier: Apache-2.0
// guest/memory/guest_memory.h: guest-physical memory: a Ram block, and where the guest sees it.
//
// On x86 machines RAM lies in one piece from 0, or in two around the hole below 4 GiB where devices
// live: [0, low_size) and from 4 GiB on. The VMM does not tell us where the first piece ends; the
// guest's kernel knows, and guest/kernel finds it out (find_ram_split). Until then low_size is the
// whole block.
#pragma once

#include "base/bytes.h"
#include "guest/address.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

inline constexpr std::uint64_t kHighRam = 4ULL << 30;  // where the second piece starts

class GuestMemory {
 public:
  // `ram` is borrowed and must outlive this.
  explicit GuestMemory(const Ram& ram) : ram_(&ram), low_size_(ram.size()) {}

  // Copies into.size() bytes starting at `from`. A range that is not RAM, also in part, is
  // guest_page_not_present. Never blocks on the guest, which keeps running.
  Result<void> read(PhysAddr from, std::span<std::byte> into) const;
  Result<void> sweep(PhysAddr from, std::span<std::byte> into) const;  // see Ram::sweep
  void prefetch(PhysAddr from, std::uint64_t size) const;              // see Ram::prefetch

  template <class T>
  Result<T> read_value(PhysAddr from) const {
    T value;
    XF_CHECK(read(from, writable_bytes_of(value)));
    return value;
  }

  // The bytes of [from, from + size) where RAM is mapped and has all of them; otherwise nothing.
  const std::byte* mapping(PhysAddr from, std::uint64_t size) const;

  const Ram& ram() const { return *ram_; }
  std::uint64_t low_size() const { return low_size_; }
  void set_low_size(std::uint64_t low_size) { low_size_ = low_size; }

 private:
  Result<std::uint64_t> ram_offset(PhysAddr from, std::uint64_t size) const;

  const Ram* ram_;
  std::uint64_t low_size_;
};

}  // namespace xfilter::guest::memory
