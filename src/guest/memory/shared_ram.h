// SPDX-License-Identifier: Apache-2.0
// guest/memory/shared_ram.h: RAM that a VMM shares (memfd, hugetlbfs or file, share=on), mapped
// read-only.
//
// Cost: a memcpy a read. The mapping is established lazily, so the first touch of a page costs a
// fault. Sweeps go through next_data(), which asks the file for its holes: touching one through the
// mapping would allocate it.
#pragma once

#include <memory>

#include "base/fd.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

class SharedRam final : public Ram {
 public:
  // Maps `size` bytes of `file` from `file_offset` on. Takes the descriptor.
  static Result<std::unique_ptr<SharedRam>> map(Fd file, std::uint64_t file_offset,
                                                std::uint64_t size);
  SharedRam(const SharedRam&) = delete;
  SharedRam& operator=(const SharedRam&) = delete;
  ~SharedRam() override;

  std::uint64_t size() const override { return size_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override;
  const std::byte* mapping() const override { return bytes_; }
  std::optional<Extent> next_data(std::uint64_t from) const override;

 private:
  SharedRam(Fd file, std::uint64_t file_offset, std::uint64_t size, const std::byte* bytes)
      : file_(std::move(file)), file_offset_(file_offset), size_(size), bytes_(bytes) {}

  Fd file_;
  std::uint64_t file_offset_;
  std::uint64_t size_;
  const std::byte* bytes_;
};

}  // namespace xfilter::guest::memory
