// SPDX-License-Identifier: Apache-2.0
#include "guest/paging/page_tables.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "guest/paging/virtual_memory.h"
#include "tests/support/synthetic_guest.h"

namespace xfilter::guest::paging {
namespace {

using support::BytesRam;

constexpr std::size_t kPages = 8;

void put(BytesRam& ram, std::uint64_t at, std::uint64_t value) {
  std::memcpy(ram.bytes().data() + at, &value, sizeof value);
}

VirtAddr any_canonical(Levels levels) {
  const int width = 12 + 9 * static_cast<int>(levels);
  const auto bits = static_cast<std::int64_t>(*rc::gen::arbitrary<std::uint64_t>() << (64 - width));
  return {static_cast<std::uint64_t>(bits >> (64 - width))};
}

// Tables in which every entry may lead to every table, with every flag.
RC_GTEST_PROP(PageTables, whatever_the_tables_hold_a_walk_ends_after_a_read_a_level, ()) {
  BytesRam ram(kPages * kPageSize);
  const memory::GuestMemory memory(ram);
  const auto levels = *rc::gen::element(Levels::four, Levels::five);
  const auto va = any_canonical(levels);
  for (std::size_t page = 0; page < kPages; ++page)
    for (int level = 1; level <= 5; ++level) {
      const std::uint64_t index = va.value >> (12 + 9 * (level - 1)) & 511;
      const auto flags = *rc::gen::element(entry::present, entry::present | entry::large, 0ul);
      const auto to = *rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, kPages),
                                      rc::gen::arbitrary<std::uint64_t>());
      put(ram, page * kPageSize + index * 8, to * kPageSize | flags);
    }
  const auto found = translate(memory, {{0}, levels}, va);
  RC_ASSERT(ram.reads() <= static_cast<unsigned>(levels));
  if (!found) return;
  RC_ASSERT(found->bytes_left > 0u);
  RC_ASSERT(found->bytes_left <= 1u << 30);

  // Reading there gives RAM's bytes or an error, nothing else.
  std::array<std::byte, 64> bytes{}, expected{};
  const bool is_read = VirtualMemory(memory, {{0}, levels}).read(va, bytes).has_value();
  if (found->bytes_left < bytes.size()) return;
  RC_ASSERT(is_read == memory.read(found->at, expected).has_value());
  if (is_read) RC_ASSERT(bytes == expected);
}

RC_GTEST_PROP(PageTables, an_address_leads_where_it_was_mapped, ()) {
  BytesRam ram(kPages * kPageSize);
  const memory::GuestMemory memory(ram);
  const auto levels = *rc::gen::element(Levels::four, Levels::five);
  const auto va = any_canonical(levels);
  const int leaf = *rc::gen::inRange(1, 4);  // a page of 4 KiB, 2 MiB, 1 GiB
  const std::uint64_t page_size = 1ULL << (12 + 9 * (leaf - 1));
  const std::uint64_t to =
      *rc::gen::inRange<std::uint64_t>(0, 1 << 20) * page_size & entry::address_mask;
  std::uint64_t table = 0;
  for (int level = static_cast<int>(levels); level >= leaf; --level) {
    const std::uint64_t index = va.value >> (12 + 9 * (level - 1)) & 511;
    const std::uint64_t next = table + kPageSize;
    const std::uint64_t flags = entry::present | (level == leaf && leaf > 1 ? entry::large : 0);
    put(ram, table + index * 8, (level == leaf ? to : next) | flags | entry::no_execute);
    table = next;
  }
  const auto found = translate(memory, {{0}, levels}, va);
  RC_ASSERT(found.has_value());
  RC_ASSERT(found->at.value == to + va.value % page_size);
  RC_ASSERT(found->bytes_left == page_size - va.value % page_size);
}

RC_GTEST_PROP(PageTables, an_address_that_is_not_canonical_is_not_looked_up, ()) {
  BytesRam ram(kPageSize);
  const auto upper =
      *rc::gen::inRange<std::uint64_t>(1, 0x1ffff);  // neither all zeros nor all ones
  const VirtAddr va{upper << 47 | *rc::gen::inRange<std::uint64_t>(0, 1ULL << 47)};
  RC_ASSERT(!translate(memory::GuestMemory(ram), {{0}, Levels::four}, va));
  RC_ASSERT(ram.reads() == 0u);
}

}  // namespace
}  // namespace xfilter::guest::paging
