// SPDX-License-Identifier: Apache-2.0
#include "guest/paging/virtual_memory.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace xfilter::guest::paging {
namespace {

// Calls copy(physical address, part) for each piece of [from, from + into.size()) that one page
// holds.
template <class Copy>
Result<void> for_each_page(const VirtualMemory& memory, VirtAddr from, std::span<std::byte> into,
                           Copy copy) {
  while (!into.empty()) {
    XF_TRY(found, memory.translate(from));
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), found.bytes_left));
    auto copied = copy(found.at, into.first(part));
    if (!copied) return fail(copied.error().code, "{}: {}", from, copied.error().message);
    into = into.subspan(part);
    from = from + part;
  }
  return {};
}

}  // namespace

void VirtualMemory::add_linear_range(LinearRange range) {
  linear_.push_back(range);
  // RAM has a hole below 4 GiB; the parts before and behind it are mapped on their own.
  const auto add_window = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    if (const std::byte* bytes = memory_->mapping(PhysAddr{begin}, end - begin))
      windows_.insert(windows_.begin(),
                      {range.virt.value + (begin - range.phys.value), end - begin, bytes});
  };
  const std::uint64_t begin = range.phys.value, end = begin + range.size;
  add_window(begin, std::min(end, memory_->low_size()));
  add_window(std::max(begin, memory::kHighRam), end);
}

Result<Translation> VirtualMemory::translate(VirtAddr va) const {
  for (const LinearRange& range : linear_) {
    const std::uint64_t within =
        va.value - range.virt.value;  // wraps to something large when below
    if (within < range.size) return Translation{range.phys + within, range.size - within};
  }
  return paging::translate(*memory_, root_, va);
}

Result<void> VirtualMemory::read_by_page(VirtAddr from, std::span<std::byte> into) const {
  return for_each_page(*this, from, into, [&](PhysAddr at, std::span<std::byte> part) {
    return memory_->read(at, part);
  });
}

void VirtualMemory::prefetch_linear(VirtAddr from, std::uint64_t size) const {
  for (const LinearRange& range : linear_) {
    const std::uint64_t within = from.value - range.virt.value;
    if (within < range.size && range.size - within >= size)
      return memory_->prefetch(range.phys + within, size);
  }
}

Result<bool> VirtualMemory::holds(VirtAddr from, std::span<const std::byte> bytes) const {
  if (const std::byte* mapped = mapping(from, bytes.size()))
    return std::memcmp(mapped, bytes.data(), bytes.size()) == 0;
  std::array<std::byte, kPageSize> copy;
  while (!bytes.empty()) {
    const std::span<std::byte> part(copy.data(), std::min(copy.size(), bytes.size()));
    XF_CHECK(read_by_page(from, part));
    if (std::memcmp(part.data(), bytes.data(), part.size()) != 0) return false;
    bytes = bytes.subspan(part.size());
    from = from + part.size();
  }
  return true;
}

Result<void> VirtualMemory::sweep(VirtAddr from, std::span<std::byte> into) const {
  return for_each_page(*this, from, into, [&](PhysAddr at, std::span<std::byte> part) {
    return memory_->sweep(at, part);
  });
}

Result<std::string> VirtualMemory::read_string(VirtAddr from, std::size_t most) const {
  std::string text;
  std::array<char, 256> chunk{};
  while (text.size() < most) {
    // Up to a page's end at a time: what follows the string may not be mapped.
    const std::size_t to_page_end = kPageSize - from.value % kPageSize;
    const std::size_t size = std::min({chunk.size(), most - text.size(), to_page_end});
    XF_CHECK(read(from, std::as_writable_bytes(std::span(chunk.data(), size))));
    const auto end = std::find(chunk.data(), chunk.data() + size, '\0');
    text.append(chunk.data(), end);
    if (end != chunk.data() + size) break;
    from = from + size;
  }
  return text;
}

}  // namespace xfilter::guest::paging
