// SPDX-License-Identifier: Apache-2.0
// tests/support/image.h: guests to read in tests: images of real ones, whole or damaged on purpose.
#pragma once

#include <fcntl.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "guest/address.h"
#include "guest/memory/image_ram.h"

namespace xfilter::support {

inline std::vector<std::string> image_names() {
  return {"6.1", "6.12"};
}

inline std::string image_path(const std::string& name) {
  return XFILTER_IMAGES_DIR "/" + name + ".img";
}

// An image in memory whose bytes a test may change; pages that are all zero take no room.
class EditableRam final : public guest::memory::Ram {
 public:
  explicit EditableRam(const std::string& name) {
    const auto file = guest::memory::ImageRam::open(image_path(name)).value();
    size_ = file->size();
    std::uint64_t from = 0;
    while (const auto extent = file->next_data(from)) {
      for (std::uint64_t at = extent->begin; at < extent->end; at += guest::kPageSize) {
        std::vector<std::byte> page(guest::kPageSize);
        if (file->read(at, page)) pages_[at / guest::kPageSize] = std::move(page);
      }
      from = extent->end;
    }
  }

  std::uint64_t size() const override { return size_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > size_ || size_ - offset < into.size())
      return fail(Errc::guest_page_not_present, "beyond the end");
    for (std::size_t done = 0; done < into.size();) {
      const std::uint64_t at = offset + done, within = at % guest::kPageSize;
      const std::size_t part = std::min<std::size_t>(into.size() - done, guest::kPageSize - within);
      const auto page = pages_.find(at / guest::kPageSize);
      if (page == pages_.end())
        std::memset(into.data() + done, 0, part);
      else
        std::memcpy(into.data() + done, page->second.data() + within, part);
      done += part;
    }
    return {};
  }
  std::optional<guest::memory::Extent> next_data(std::uint64_t from) const override {
    const auto page = pages_.lower_bound(from / guest::kPageSize);
    if (page == pages_.end()) return std::nullopt;
    const std::uint64_t begin = page->first * guest::kPageSize;
    return guest::memory::Extent{std::max(begin, from), begin + guest::kPageSize};
  }

  std::map<std::uint64_t, std::vector<std::byte>>& pages() { return pages_; }

 private:
  std::uint64_t size_ = 0;
  std::map<std::uint64_t, std::vector<std::byte>> pages_;
};

}  // namespace xfilter::support
