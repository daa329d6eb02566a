// SPDX-License-Identifier: Apache-2.0
// guest/paging/page_tables.h: x86-64 address translation, 4 and 5 levels, 4 KiB, 2 MiB and 1 GiB
// pages.
//
// Source: Intel SDM vol. 3A, 4.5 (4-level and 5-level paging).
// Failure: guest_page_not_present with the level at which the walk ended.
// Cost:    one 8-byte read a level.
#pragma once

#include "guest/memory/guest_memory.h"

namespace xfilter::guest::paging {

enum class Levels : std::uint8_t { four = 4, five = 5 };

// CR3 with everything that is not an address already cleared.
struct PageTableRoot {
  PhysAddr at;
  Levels levels = Levels::four;
  bool operator==(const PageTableRoot&) const = default;
};

// The fields of an entry that we look at.
namespace entry {
inline constexpr std::uint64_t present = 1ULL << 0, writable = 1ULL << 1, large = 1ULL << 7,
                               no_execute = 1ULL << 63;
inline constexpr std::uint64_t address_mask = 0x000f'ffff'ffff'f000ULL;  // SDM: MAXPHYADDR <= 52
constexpr PhysAddr address(std::uint64_t value) {
  return {value & address_mask};
}
}  // namespace entry

struct Translation {
  PhysAddr at;                   // of the byte asked for
  std::uint64_t bytes_left = 0;  // how many bytes, from `at` on, the same page holds
};

Result<Translation> translate(const memory::GuestMemory& memory, PageTableRoot root, VirtAddr va);

}  // namespace xfilter::guest::paging
