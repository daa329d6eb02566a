// SPDX-License-Identifier: Apache-2.0
// tests/support/synthetic_guest.h: a guest of a few pages that a test fills itself, with its own
// layout of the structs that it needs. All of its RAM is in the direct map.
#pragma once

#include <cstring>
#include <optional>
#include <vector>

#include "guest/linux/view.h"

namespace xfilter::support {

// Plain bytes as RAM; counts the reads.
class BytesRam final : public guest::memory::Ram {
 public:
  explicit BytesRam(std::size_t size) : bytes_(size) {}

  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    ++reads_;
    if (offset > bytes_.size() || bytes_.size() - offset < into.size())
      return fail(Errc::guest_page_not_present, "beyond the end");
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }
  std::optional<guest::memory::Extent> next_data(std::uint64_t from) const override {
    if (from >= bytes_.size()) return std::nullopt;
    return guest::memory::Extent{from, bytes_.size()};
  }

  std::vector<std::byte>& bytes() { return bytes_; }
  std::uint64_t reads() const { return reads_; }

 private:
  std::vector<std::byte> bytes_;
  mutable std::uint64_t reads_ = 0;
};

class SyntheticGuest {
 public:
  explicit SyntheticGuest(std::size_t size) : ram(size), memory(ram) {
    profile.page_offset = kDirectMap;
    profile.ram_end = size;
  }

  // Before view(): where members are.
  guest::kernel::Layout& layout() { return profile.layout; }
  const guest::linux::View& view() {
    if (!view_) view_.emplace(profile, memory);
    return *view_;
  }

  static guest::VirtAddr at(std::size_t offset) { return kDirectMap + offset; }
  template <class T>
  void write(guest::VirtAddr to, const T& value) {
    std::memcpy(ram.bytes().data() + (to.value - kDirectMap.value), &value, sizeof value);
  }

  BytesRam ram;
  guest::memory::GuestMemory memory;
  guest::kernel::Profile profile;

 private:
  static constexpr guest::VirtAddr kDirectMap{0xffff'8880'0000'0000};
  std::optional<guest::linux::View> view_;
};

}  // namespace xfilter::support
