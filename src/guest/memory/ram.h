// SPDX-License-Identifier: Apache-2.0
// guest/memory/ram.h: one block of guest RAM as the host holds it, addressed by offset.
//
// A VMM keeps its guest's RAM in one host mapping; where the guest sees which part of it is the
// business of GuestMemory. The guest keeps running and writing while we read: bytes may mix two
// moments, so whoever needs consistency reads again and compares.
//
// To add a backend: (1) a file here with a class deriving Ram; (2) its line in open_ram.cpp; (3)
// its line in the backend list of tests/unit/guest/memory/ram_test.cpp, which holds all to this
// contract.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace xfilter::guest::memory {

// A run of bytes [begin, end).
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const Extent&) const = default;
};

class Ram {
 public:
  virtual ~Ram() = default;

  virtual std::uint64_t size() const = 0;

  // Copies into.size() bytes from `offset`. A range that leaves the block, or that the host cannot
  // read, is guest_page_not_present, and nothing in `into` may then be used.
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> into) const = 0;

  // The same for code that looks through much and needs little of it: decorators neither remember
  // nor record what a sweep reads.
  virtual Result<void> sweep(std::uint64_t offset, std::span<std::byte> into) const {
    return read(offset, into);
  }

  // For decorators that remember what was read: what is read from here on is no older than this.
  virtual void begin_lookup() const {}

  // The same range will be read next, in parts: decorators may fetch it at once. A failure shows
  // when it is read.
  virtual void prefetch(std::uint64_t, std::uint64_t /*size*/) const {}

  // Where the block lies in our own address space, if it is mapped: then a read is no more than a
  // copy. The guest writes there meanwhile. Reading a hole there allocates it in the guest, so only
  // what the guest itself uses may be read.
  virtual const std::byte* mapping() const { return nullptr; }

  // The first run of pages at or after `from` that may hold something other than zeros; nothing
  // when there is none. Sweeps go through this: reading a hole of sparse RAM could allocate it.
  virtual std::optional<Extent> next_data(std::uint64_t from) const = 0;
};

}  // namespace xfilter::guest::memory
