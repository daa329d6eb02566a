// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/page_cache.h"

#include <algorithm>
#include <cstring>

namespace xfilter::guest::memory {

// Neighbouring pages, none of them known, at most kMostAtOnce.
Result<void> PageCache::fetch(std::uint64_t first, std::uint64_t pages) const {
  ++misses_;
  const std::span<std::byte> bytes(fetched_.data(), pages * kPageSize);
  XF_CHECK(inner_.read(first * kPageSize, bytes));
  for (std::uint64_t i = 0; i < pages; ++i) {
    Slot& slot = slots_[(first + i) % kSlots];
    std::memcpy(slot.bytes.data(), bytes.data() + i * kPageSize, kPageSize);
    slot.page = first + i;
    slot.lookup = lookup_;
  }
  return {};
}

void PageCache::prefetch(std::uint64_t offset, std::uint64_t length) const {
  if (length == 0 || offset > size() || size() - offset < length) return;
  const std::uint64_t last = (offset + length - 1) / kPageSize;
  for (std::uint64_t page = offset / kPageSize; page <= last; ++page) {
    if (is_known(page)) continue;
    std::uint64_t pages = 1;
    while (page + pages <= last && pages < kMostAtOnce && !is_known(page + pages)) ++pages;
    if (!fetch(page, pages)) return;  // the read of that part says why
    page += pages - 1;
  }
}

Result<void> PageCache::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size() || size() - offset < into.size())
    return inner_.read(offset, into);  // says why
  if (offset % kPageSize + into.size() > kPageSize) prefetch(offset, into.size());
  while (!into.empty()) {
    const std::uint64_t page = offset / kPageSize;
    const std::uint64_t within = offset % kPageSize;
    if (!is_known(page)) XF_CHECK(fetch(page, 1));
    const std::size_t part = std::min<std::size_t>(into.size(), kPageSize - within);
    std::memcpy(into.data(), slots_[page % kSlots].bytes.data() + within, part);
    into = into.subspan(part);
    offset += part;
  }
  return {};
}

}  // namespace xfilter::guest::memory
