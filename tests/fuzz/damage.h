// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/damage.h: from the bytes of an input to words of guest memory that lie.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "guest/kernel/profile.h"
#include "tests/fuzz/hostile_ram.h"

namespace xfilter::fuzz {

// What the word is replaced by.
enum class Lie : std::uint8_t {
  any,            // the operand
  number,         // one of those where counts go wrong: -1, 2^31, ...
  own_address,    // a pointer to itself, plus a few bytes
  other_address,  // a pointer to another word that is read, plus a few bytes
  other_value,    // what another word that is read holds: a pointer of the same kind, perhaps
  nearly_true,    // the truth plus a small number
  table_entry,    // a page table entry that leads to a page that is read: another, or its own
  count,
};

struct InputPatch {
  static constexpr std::size_t kSize = 14;  // bytes in an input

  std::uint16_t page = 0, word = 0;  // which, of those that are read; they wrap
  std::uint8_t kind = 0;             // a Lie (low 3 bits), and which part of the word (high 2)
  std::uint8_t when = 0;             // Patch::after (low 6 bits) and flickers (highest)
  std::uint64_t operand = 0;
};

struct Input {
  static constexpr std::size_t kHeader = 2;
  static constexpr std::size_t kMostPatches = 16;

  std::uint8_t image = 0, choice = 0;
  std::vector<InputPatch> patches;

  static std::optional<Input> parse(std::span<const std::uint8_t> bytes);
};

// The words that an input can choose from.
class Places {
 public:
  Places() = default;
  Places(const HostileRam::Words& words, const guest::kernel::Profile& profile);

  std::vector<Patch> patches_of(const Input& input, const HostileRam& ram) const;

 private:
  std::uint64_t at(std::uint64_t page, std::uint64_t word) const;
  std::uint64_t address_of(std::uint64_t offset) const;
  std::uint64_t lie(const InputPatch& patch, std::uint64_t at, const HostileRam& ram) const;

  struct Page {
    std::uint64_t number = 0;
    std::vector<std::uint16_t> words;
  };
  std::vector<Page> pages_;
  const guest::kernel::Profile* profile_ = nullptr;
};

// Prints what an input does, for people.
void explain(const Input& input, const std::vector<Patch>& patches, const HostileRam& ram);

// libFuzzer's custom mutator: adds, removes and changes whole patches, so that what was learnt of
// the others is not lost by shifting them. Returns the new size.
std::size_t mutate(std::span<std::uint8_t> bytes, std::size_t size, unsigned seed);

}  // namespace xfilter::fuzz
