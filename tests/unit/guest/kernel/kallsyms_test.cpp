// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/kallsyms.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/support/kallsyms_builder.h"
#include "tests/support/synthetic_guest.h"

namespace xfilter::guest::kernel {
namespace {

using support::KallsymsBuilder;
using support::KallsymsFormat;
using support::KallsymsInput;

constexpr std::uint64_t kText = 0xffff'ffff'9a00'0000;
constexpr std::size_t kTablesAt = 1 << 16;

Result<Symbols> read(std::span<const std::byte> tables, std::span<const std::string_view> wanted) {
  support::BytesRam ram(kLargePageSize);
  std::copy(tables.begin(), tables.end(), ram.bytes().begin() + kTablesAt);
  return read_kallsyms(memory::GuestMemory(ram),
                       {{kText}, {0}, kLargePageSize, paging::Levels::four}, wanted);
}

std::string any_name() {
  const std::size_t longest = *rc::gen::weightedElement<std::size_t>({{20, 30}, {1, 500}});
  return *rc::gen::container<std::string>(
      *rc::gen::inRange<std::size_t>(1, longest),
      rc::gen::elementOf(std::string("abcdefghijklmnopqrstuvwxyz_0123456789")));
}

KallsymsInput any_input() {
  KallsymsInput input;
  input.format = *rc::gen::element(KallsymsFormat::up_to_6_1, KallsymsFormat::from_6_2,
                                   KallsymsFormat::from_6_4, KallsymsFormat::from_7_0);
  input.text = kText;
  input.absolute_percpu = *rc::gen::arbitrary<bool>();
  input.seqs_byte = *rc::gen::arbitrary<std::uint8_t>();
  const auto names = *rc::gen::container<std::vector<std::string>>(20, rc::gen::exec(any_name));
  for (int i = 0; i < 30; ++i) {
    const auto& name = *rc::gen::elementOf(names);
    const auto from = *rc::gen::inRange<std::size_t>(0, name.size());
    input.substrings.push_back(name.substr(from, 5));
  }
  const auto count = *rc::gen::inRange<std::size_t>(257, 800);
  input.symbols.push_back({"_text", kText});
  for (const auto& name : names)
    input.symbols.push_back({name, kText + *rc::gen::inRange<std::uint64_t>(0, 1 << 30)});
  for (int i = 0; i < 20; ++i) {  // values of per-CPU variables, in the formats that have them
    const bool is_value = input.absolute_percpu && input.format != KallsymsFormat::from_7_0;
    const std::uint64_t base = is_value ? 0 : kText;
    input.symbols.push_back(
        {"percpu" + std::to_string(i), base + *rc::gen::inRange<std::uint64_t>(0, 1 << 18)});
  }
  while (input.symbols.size() < count)
    input.symbols.push_back({names[input.symbols.size() % names.size()], kText + 1});
  return input;
}

RC_GTEST_PROP(Kallsyms, tables_of_every_format_give_the_symbols_they_were_made_of, ()) {
  const auto input = any_input();
  const KallsymsBuilder tables(input, kTablesAt);
  std::vector<std::string_view> wanted;
  std::map<std::string, std::uint64_t> expected;  // of several with one name the first
  for (const auto& symbol : input.symbols)
    if (expected.try_emplace(symbol.name, symbol.address).second) wanted.push_back(symbol.name);

  const auto symbols = read(tables.bytes(), wanted);
  if (!symbols) RC_FAIL(symbols.error().message);
  RC_ASSERT(symbols->size() == expected.size());
  for (const auto& [name, address] : expected) RC_ASSERT(symbols->find(name) == VirtAddr{address});
}

RC_GTEST_PROP(Kallsyms, tables_with_any_bytes_changed_are_decoded_within_bounds, ()) {
  auto tables = KallsymsBuilder(any_input(), kTablesAt).bytes();
  for (int i = *rc::gen::inRange(1, 20); i > 0; --i)
    tables[*rc::gen::inRange<std::size_t>(0, tables.size())] =
        std::byte{*rc::gen::arbitrary<std::uint8_t>()};
  const std::array<std::string_view, 1> wanted = {"_text"};
  const auto symbols = read(tables, wanted);
  if (symbols) RC_ASSERT(symbols->find("_text") == VirtAddr{kText});
}

// Then nothing but the tables' order says where one ends and the next begins.
TEST(Kallsyms, seqs_of_names_without_padding_do_not_hide_the_tokens) {
  KallsymsInput input;
  input.format = KallsymsFormat::from_6_2;
  input.text = kText;
  input.symbols.assign(400, {"a_symbol", kText + 1});
  input.symbols.front() = {"_text", kText};
  input.seqs_byte = 0xab;
  const std::array<std::string_view, 1> wanted = {"_text"};
  const auto symbols = read(KallsymsBuilder(input, kTablesAt).bytes(), wanted);
  EXPECT_TRUE(symbols) << symbols.error().message;
}

// Every place before the tokens looks like the end of markers, and leads to a search for names.
TEST(Kallsyms, an_image_full_of_false_starts_ends_with_an_error) {
  KallsymsInput input;
  input.format = KallsymsFormat::from_6_2;
  input.text = kText;
  input.symbols.assign(400, {"a_symbol", kText});
  const auto tables = KallsymsBuilder(input, kTablesAt).bytes();
  support::BytesRam ram(32 * kLargePageSize);
  for (std::size_t at = 0; at < ram.size(); at += 8) ram.bytes()[at + 4] = std::byte{1};
  for (std::size_t at = kLargePageSize; at + tables.size() < ram.size(); at += kLargePageSize)
    std::copy(tables.end() - 2048, tables.end(),
              ram.bytes().begin() + static_cast<std::ptrdiff_t>(at));
  const std::array<std::string_view, 1> wanted = {"_text"};
  EXPECT_FALSE(read_kallsyms(memory::GuestMemory(ram),
                             {{kText}, {0}, ram.size(), paging::Levels::four}, wanted));
}

}  // namespace
}  // namespace xfilter::guest::kernel
