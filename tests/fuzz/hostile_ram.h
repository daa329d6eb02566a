// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/hostile_ram.h: a real guest's memory, with words that are not what they were, and that
// change while they are read.
//
// It counts what a reader reads, and stops the process (a finding) when that is more than it may
// be: so a stall is found by counting and not by waiting.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "guest/memory/ram.h"
#include "tests/support/image.h"

namespace xfilter::fuzz {

// One word that lies.
struct Patch {
  std::uint64_t at = 0;  // offset in RAM
  std::uint64_t value = 0;
  unsigned size = 8;          // bytes of `value`
  unsigned after = 0;         // honest until its page was read so often
  bool flickers = false;      // and from then on honest every other time
  mutable unsigned seen = 0;  // reads of its page
};

class HostileRam final : public guest::memory::Ram {
 public:
  // `honest` is borrowed.
  explicit HostileRam(support::EditableRam& honest);

  std::uint64_t size() const override { return honest_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override;
  Result<void> sweep(std::uint64_t offset, std::span<std::byte> into) const override;
  std::optional<guest::memory::Extent> next_data(std::uint64_t from) const override {
    return honest_.next_data(from);
  }

  std::uint64_t honest_word(std::uint64_t offset) const;

  // A step is a read, and each page that it copies. More than `most_steps` of them abort.
  void begin(std::vector<Patch> patches, std::uint64_t most_steps);
  std::uint64_t steps() const { return steps_; }

  // Notes the words that are read (not swept) from now on, by page.
  using Words = std::map<std::uint64_t, std::set<std::uint16_t>>;  // page -> offsets in it
  void record_into(Words* words) { words_ = words; }

 private:
  void copy_honest(std::uint64_t offset, std::span<std::byte> into) const;
  Result<void> read_damaged(std::uint64_t offset, std::span<std::byte> into) const;
  void record(std::uint64_t offset, std::size_t size) const;

  const support::EditableRam& honest_;
  std::vector<const std::byte*> pages_;  // by number; null: zeros
  std::vector<Patch> patches_;
  std::uint64_t most_steps_ = UINT64_MAX;
  mutable std::uint64_t steps_ = 0;
  Words* words_ = nullptr;
};

}  // namespace xfilter::fuzz
