// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/page_cache.h"

#include <algorithm>
#include <cstring>

namespace xfilter::guest::memory {

// Pages whose slots are neighbours too.
Result<void> PageCache::fetch(std::uint64_t first, std::uint64_t pages) const {
  ++misses_;
  for (std::uint64_t page = first; page < first + pages; ++page) slots_[page % kSlots].lookup = 0;
  XF_CHECK(inner_.read(first * kPageSize, std::span(bytes_of(first), pages * kPageSize)));
  for (std::uint64_t page = first; page < first + pages; ++page)
    slots_[page % kSlots] = {page, lookup_};
  return {};
}

// `first`, which is not known, and with the same call its neighbours up to `last` that are not.
Result<void> PageCache::fetch_up_to(std::uint64_t first, std::uint64_t last) const {
  std::uint64_t pages = 1;
  while (first + pages <= last && (first + pages) % kSlots != 0 && !is_known(first + pages))
    ++pages;
  auto fetched = fetch(first, pages);
  if (!fetched && pages > 1) fetched = fetch(first, 1);  // a neighbour is missing
  return fetched;
}

void PageCache::prefetch(std::uint64_t offset, std::uint64_t length) const {
  if (length == 0 || offset > size() || size() - offset < length) return;
  const std::uint64_t last = (offset + length - 1) / kPageSize;
  for (std::uint64_t page = offset / kPageSize; page <= last; ++page)
    if (!is_known(page) && !fetch_up_to(page, last)) return;  // the read of that part says why
}

Result<void> PageCache::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size() || size() - offset < into.size())
    return inner_.read(offset, into);  // says why
  while (!into.empty()) {
    const std::uint64_t page = offset / kPageSize;
    const std::uint64_t within = offset % kPageSize;
    if (!is_known(page)) XF_CHECK(fetch_up_to(page, (offset + into.size() - 1) / kPageSize));
    const std::size_t part = std::min<std::size_t>(into.size(), kPageSize - within);
    std::memcpy(into.data(), bytes_of(page) + within, part);
    into = into.subspan(part);
    offset += part;
  }
  return {};
}

}  // namespace xfilter::guest::memory
