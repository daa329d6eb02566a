// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/page_cache.h"

#include <algorithm>
#include <cstring>

namespace xfilter::guest::memory {

Result<void> PageCache::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size() || size() - offset < into.size())
    return inner_.read(offset, into);  // says why
  while (!into.empty()) {
    const std::uint64_t page = offset / kPageSize;
    const std::uint64_t within = offset % kPageSize;
    Slot& slot = slots_[page % kSlots];
    if (slot.lookup != lookup_ || slot.page != page) {
      ++misses_;
      slot.lookup = 0;
      XF_CHECK(inner_.read(page * kPageSize, slot.bytes));
      slot.page = page;
      slot.lookup = lookup_;
    }
    const std::size_t part = std::min<std::size_t>(into.size(), kPageSize - within);
    std::memcpy(into.data(), slot.bytes.data() + within, part);
    into = into.subspan(part);
    offset += part;
  }
  return {};
}

}  // namespace xfilter::guest::memory
