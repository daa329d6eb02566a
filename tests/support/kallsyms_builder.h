// SPDX-License-Identifier: Apache-2.0
// tests/support/kallsyms_builder.h: symbol tables as a kernel's build lays them out
// (scripts/kallsyms.c of each version).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace xfilter::support {

enum class KallsymsFormat { up_to_6_1, from_6_2, from_6_4, from_7_0 };

struct Symbol {
  std::string name;
  std::uint64_t address = 0;
};

struct KallsymsInput {
  KallsymsFormat format = KallsymsFormat::up_to_6_1;
  std::vector<Symbol> symbols;  // at least 257: fewer have one marker, which no kernel has
  std::uint64_t text = 0;       // address of the image's first byte
  // CONFIG_KALLSYMS_ABSOLUTE_PERCPU: addresses below 2 GiB are values, not places.
  bool absolute_percpu = true;
  // Substrings of names to use as tokens, for characters that occur in no name.
  std::vector<std::string> substrings;
  std::uint8_t seqs_byte = 0;  // what seqs_of_names is filled with: nobody reads it
};

class KallsymsBuilder {
 public:
  // `at`: where in the image the tables start, a multiple of 8.
  KallsymsBuilder(const KallsymsInput& input, std::size_t at) : input_(input), at_(at) {
    choose_tokens();
    const bool is_first = input.format <= KallsymsFormat::from_6_2;
    if (is_first) add_offsets();
    add_names();
    if (input.format == KallsymsFormat::from_6_2) add_seqs();
    add_tokens();
    if (!is_first) {
      add_offsets();
      add_seqs();
    }
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::size_t alignment() const { return input_.format == KallsymsFormat::from_7_0 ? 4 : 8; }

  template <class T>
  void add(T value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }
  void align(std::size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to); }

  void choose_tokens() {
    std::array<bool, 256> is_used{};
    for (char c = '0'; c <= '9'; ++c) is_used[static_cast<std::uint8_t>(c)] = true;
    is_used['T'] = true;
    for (const Symbol& symbol : input_.symbols)
      for (const char c : symbol.name) is_used[static_cast<std::uint8_t>(c)] = true;
    std::size_t next = 0;
    for (std::size_t code = 0; code < tokens_.size(); ++code) {
      if (is_used[code])
        tokens_[code] = std::string(1, static_cast<char>(code));
      else if (next < input_.substrings.size())
        tokens_[code] = input_.substrings[next++];
    }
  }

  // The codes of a name, longest tokens first.
  std::vector<std::uint8_t> compressed(const std::string& name) const {
    std::vector<std::uint8_t> codes;
    for (std::size_t at = 0; at < name.size();) {
      std::size_t best = static_cast<std::uint8_t>(name[at]);
      for (std::size_t code = 0; code < tokens_.size(); ++code)
        if (tokens_[code].size() > tokens_[best].size() &&
            name.compare(at, tokens_[code].size(), tokens_[code]) == 0)
          best = code;
      codes.push_back(static_cast<std::uint8_t>(best));
      at += tokens_[best].size();
    }
    return codes;
  }

  void add_offsets() {
    align(alignment());
    for (const Symbol& symbol : input_.symbols) {
      std::uint64_t offset = symbol.address - input_.text;
      if (input_.format == KallsymsFormat::from_7_0)
        offset -= at_ + bytes_.size();
      else if (input_.absolute_percpu)
        offset = symbol.address < 1ULL << 31 ? symbol.address : ~offset;
      add(static_cast<std::uint32_t>(offset));
    }
    if (input_.format == KallsymsFormat::from_7_0) return;
    align(8);
    add(input_.text);
  }

  void add_names() {
    align(alignment());
    add(static_cast<std::uint32_t>(input_.symbols.size()));
    align(alignment());
    const std::size_t begin = bytes_.size();
    std::vector<std::uint32_t> markers;
    for (std::size_t i = 0; i < input_.symbols.size(); ++i) {
      if (i % 256 == 0) markers.push_back(static_cast<std::uint32_t>(bytes_.size() - begin));
      const auto codes = compressed("T" + input_.symbols[i].name);
      if (codes.size() > 127) {
        add(static_cast<std::uint8_t>((codes.size() & 0x7f) | 0x80));
        add(static_cast<std::uint8_t>(codes.size() >> 7));
      } else {
        add(static_cast<std::uint8_t>(codes.size()));
      }
      for (const std::uint8_t code : codes) add(code);
    }
    align(alignment());
    for (const std::uint32_t marker : markers) add(marker);
    align(alignment());
  }

  void add_seqs() {
    bytes_.resize(bytes_.size() + 3 * input_.symbols.size(), std::byte{input_.seqs_byte});
    align(alignment());
  }

  void add_tokens() {
    align(alignment());
    std::vector<std::uint16_t> index;
    const std::size_t begin = bytes_.size();
    for (const std::string& token : tokens_) {
      index.push_back(static_cast<std::uint16_t>(bytes_.size() - begin));
      for (const char c : token) add(c);
      add('\0');
    }
    align(alignment());
    for (const std::uint16_t at : index) add(at);
  }

  const KallsymsInput& input_;
  std::size_t at_;
  std::array<std::string, 256> tokens_;
  std::vector<std::byte> bytes_;
};

}  // namespace xfilter::support
