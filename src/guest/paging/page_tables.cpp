// SPDX-License-Identifier: Apache-2.0
#include "guest/paging/page_tables.h"

namespace xfilter::guest::paging {
namespace {

// With n levels, bits (12 + 9n - 1) and above of an address must all be equal ("canonical").
bool is_canonical(VirtAddr va, Levels levels) {
  const int width = 12 + 9 * static_cast<int>(levels);
  const auto sign = static_cast<std::int64_t>(va.value << (64 - width)) >> (64 - width);
  return static_cast<std::uint64_t>(sign) == va.value;
}

}  // namespace

Result<Translation> translate(const memory::GuestMemory& memory, PageTableRoot root, VirtAddr va) {
  if (!is_canonical(va, root.levels))
    return fail(Errc::guest_page_not_present, "{} is not an address under {}-level paging", va,
                static_cast<int>(root.levels));
  PhysAddr table = root.at;
  for (int level = static_cast<int>(root.levels); level >= 1; --level) {
    const int shift = 12 + 9 * (level - 1);
    const std::uint64_t index = (va.value >> shift) & 511;
    XF_TRY(value, memory.read_value<std::uint64_t>(table + index * 8));
    if ((value & entry::present) == 0)
      return fail(Errc::guest_page_not_present, "{} is not mapped (level {} entry is {:#x})", va,
                  level, value);
    const bool is_leaf = level == 1 || (level <= 3 && (value & entry::large) != 0);
    if (is_leaf) {
      const std::uint64_t page_size = 1ULL << shift;
      const std::uint64_t within = va.value & (page_size - 1);
      const std::uint64_t base = entry::address(value).value & ~(page_size - 1);
      return Translation{{base + within}, page_size - within};
    }
    table = entry::address(value);
  }
  return fail(Errc::guest_page_not_present, "{}: page walk without a leaf", va);  // level 1 is one
}

}  // namespace xfilter::guest::paging
