// SPDX-License-Identifier: Apache-2.0
// guest/memory/page_recorder.h: notes which pages were read, to save an image of those alone.
#pragma once

#include <set>

#include "guest/address.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

class PageRecorder final : public Ram {
 public:
  explicit PageRecorder(const Ram& inner) : inner_(inner) {}

  std::uint64_t size() const override { return inner_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (!into.empty())
      for (std::uint64_t page = offset / kPageSize; page <= (offset + into.size() - 1) / kPageSize;
           ++page)
        pages_.insert(page);
    return inner_.read(offset, into);
  }
  Result<void> sweep(std::uint64_t offset, std::span<std::byte> into) const override {
    return inner_.sweep(offset, into);
  }
  std::optional<Extent> next_data(std::uint64_t from) const override {
    return inner_.next_data(from);
  }

  const std::set<std::uint64_t>& pages() const { return pages_; }

 private:
  const Ram& inner_;
  mutable std::set<std::uint64_t> pages_;
};

}  // namespace xfilter::guest::memory
