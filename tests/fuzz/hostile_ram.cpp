// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/hostile_ram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace xfilter::fuzz {

using guest::kPageSize;

HostileRam::HostileRam(support::EditableRam& honest)
    : honest_(honest), pages_(honest.size() / kPageSize) {
  for (const auto& [number, page] : honest.pages()) pages_[number] = page.data();
}

void HostileRam::begin(std::vector<Patch> patches, std::uint64_t most_steps) {
  patches_ = std::move(patches);
  most_steps_ = most_steps;
  steps_ = 0;
}

void HostileRam::copy_honest(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const std::uint64_t within = offset % kPageSize;
    const std::size_t part = std::min<std::size_t>(into.size(), kPageSize - within);
    if (const std::byte* page = pages_[offset / kPageSize])
      std::memcpy(into.data(), page + within, part);
    else
      std::memset(into.data(), 0, part);
    into = into.subspan(part);
    offset += part;
  }
}

std::uint64_t HostileRam::honest_word(std::uint64_t offset) const {
  std::uint64_t value = 0;
  copy_honest(offset, writable_bytes_of(value));
  return value;
}

Result<void> HostileRam::read_damaged(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size() || size() - offset < into.size())
    return fail(Errc::guest_page_not_present, "beyond the end");
  steps_ += 1 + into.size() / kPageSize;
  if (steps_ > most_steps_) {
    fmt::print(stderr, "xfilter: more than {} steps\n", most_steps_);
    std::abort();
  }
  copy_honest(offset, into);
  const std::uint64_t end = offset + into.size();
  for (const Patch& patch : patches_) {
    const std::uint64_t page = patch.at / kPageSize * kPageSize;
    if (end <= page || offset >= page + kPageSize) continue;
    const unsigned seen = patch.seen++;
    if (seen < patch.after || (patch.flickers && (seen - patch.after) % 2 != 0)) continue;
    for (unsigned i = 0; i < patch.size; ++i)
      if (patch.at + i >= offset && patch.at + i < end)
        into[patch.at + i - offset] = static_cast<std::byte>(patch.value >> (8 * i));
  }
  return {};
}

Result<void> HostileRam::read(std::uint64_t offset, std::span<std::byte> into) const {
  XF_CHECK(read_damaged(offset, into));
  if (words_ != nullptr) record(offset, into.size());
  return {};
}

Result<void> HostileRam::sweep(std::uint64_t offset, std::span<std::byte> into) const {
  return read_damaged(offset, into);
}

void HostileRam::record(std::uint64_t offset, std::size_t size) const {
  for (std::uint64_t at = offset & ~std::uint64_t{7}; at < offset + size; at += 8)
    (*words_)[at / kPageSize].insert(static_cast<std::uint16_t>(at % kPageSize));
}

}  // namespace xfilter::fuzz
