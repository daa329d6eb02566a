// SPDX-License-Identifier: Apache-2.0
// guest/paging/virtual_memory.h: guest-virtual memory of one address space.
//
// The kernel keeps all RAM mapped linearly (the direct map) and its own image too; most of what we
// read lies in one of them, and then needs no page walk. Threads: one. Failure:
// guest_page_not_present, with the address that was wanted.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "guest/paging/page_tables.h"

namespace xfilter::guest::paging {

// [virt, virt + size) is mapped to [phys, phys + size).
struct LinearRange {
  VirtAddr virt;
  PhysAddr phys;
  std::uint64_t size = 0;
};

class VirtualMemory {
 public:
  VirtualMemory(const memory::GuestMemory& memory, PageTableRoot root)
      : memory_(&memory), root_(root) {}

  // Promises that a range is linear, so that reads in it need no page walk. The caller has verified
  // it.
  void add_linear_range(LinearRange range);

  Result<void> read(VirtAddr from, std::span<std::byte> into) const {
    if (const std::byte* bytes = mapping(from, into.size())) {
      copy_once(into, bytes);
      return {};
    }
    return read_by_page(from, into);
  }
  // Parts of [from, from + size) will be read next: see Ram::prefetch. Only within a linear range;
  // what is not is read as it comes.
  void prefetch(VirtAddr from, std::uint64_t size) const {
    if (windows_.empty()) prefetch_linear(from, size);  // otherwise RAM is mapped
  }
  // Whether memory has these bytes now. Copies nothing where RAM is mapped.
  Result<bool> holds(VirtAddr from, std::span<const std::byte> bytes) const;
  Result<void> sweep(VirtAddr from, std::span<std::byte> into) const;

  template <class T>
  Result<T> read_value(VirtAddr from) const {
    T value;
    XF_CHECK(read(from, writable_bytes_of(value)));
    return value;
  }
  Result<VirtAddr> read_pointer(VirtAddr from) const {
    XF_TRY(value, read_value<std::uint64_t>(from));
    return VirtAddr{value};
  }
  // At most `most` bytes up to the first NUL, or all of them when there is none.
  Result<std::string> read_string(VirtAddr from, std::size_t most) const;

  Result<Translation> translate(VirtAddr va) const;
  const memory::GuestMemory& physical() const { return *memory_; }
  PageTableRoot root() const { return root_; }

 private:
  // A linear range that is mapped here: nearly every read, when RAM is shared with us.
  struct Window {
    std::uint64_t virt = 0;
    std::uint64_t size = 0;
    const std::byte* bytes = nullptr;
  };

  // Null where it is not mapped here.
  const std::byte* mapping(VirtAddr from, std::uint64_t size) const {
    for (const Window& window : windows_) {
      const std::uint64_t within = from.value - window.virt;  // wraps to something large when below
      if (within < window.size && window.size - within >= size) return window.bytes + within;
    }
    return nullptr;
  }
  void prefetch_linear(VirtAddr from, std::uint64_t size) const;
  Result<void> read_by_page(VirtAddr from, std::span<std::byte> into) const;

  const memory::GuestMemory* memory_;
  PageTableRoot root_;
  std::vector<LinearRange> linear_;
  std::vector<Window> windows_;
};

}  // namespace xfilter::guest::paging
