// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/kallsyms.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "base/budget.h"
#include "base/bytes.h"

namespace xfilter::guest::kernel {
namespace {

constexpr std::size_t kTokens = 256;
constexpr std::size_t kNamesPerMarker = 256;
constexpr std::size_t kMostSymbols = 2'000'000;  // a guess: ten times what distributions have
constexpr std::size_t kLongestName = 1024;       // KSYM_NAME_LEN is 512 since 6.1

// A guest can fill its memory with what looks like tables; honest ones have a dozen false starts
// and need two million steps.
constexpr std::size_t kMostTables = 1000;
constexpr std::uint64_t kMostSteps = 20'000'000;

using Bytes = std::span<const std::byte>;

std::size_t align_up(std::size_t value, std::size_t to) {
  return (value + to - 1) / to * to;
}

// One way in which the kernel's build lays out the tables.
struct TableLayout {
  std::size_t alignment;        // of every table
  bool offsets_come_first;      // before num_syms, otherwise after token_index
  bool has_relative_base;       // otherwise offsets count from their own place
  bool has_seqs_before_tokens;  // seqs_of_names between markers and token_table
};
constexpr std::array kLayouts = {
    TableLayout{8, false, true, false},   // 6.4 - 6.19
    TableLayout{4, false, false, false},  // 7.0 on
    TableLayout{8, true, true, false},    // up to 6.1
    TableLayout{8, true, true, true},     // 6.2, 6.3, and 6.1 where stable took the change
};

struct TokenTable {
  std::size_t begin = 0;  // offset in the image
  std::size_t index = 0;  // of token_index
  std::array<std::string_view, kTokens> tokens;
};

// kallsyms.c gives characters that occur in names their own code as token, so "0".."9" are
// neighbours.
constexpr char kDigits[] =
    "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";  // with the last NUL: 20 bytes

// The table with these digits, if token_index behind it says the same in all its 512 bytes. What
// lies before the table does not tell where it begins: seqs_of_names can end there without padding.
std::optional<TokenTable> token_table_around(Bytes image, std::size_t digits_at,
                                             std::size_t alignment) {
  const auto* text = reinterpret_cast<const char*>(image.data());
  TokenTable table;
  const auto read_tokens = [&](std::size_t at, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t length = strnlen(text + at, std::min(image.size() - at, kLongestName));
      if (at + length >= image.size() || length == kLongestName) return std::size_t{0};
      table.tokens[i] = {text + at, length};
      at += length + 1;
    }
    return at;
  };
  const std::size_t end = read_tokens(digits_at, '0', kTokens);
  if (end == 0) return std::nullopt;
  table.index = align_up(end, alignment);
  const auto before_digits = load<std::uint16_t>(image, table.index + '0' * 2);
  if (!before_digits || *before_digits > digits_at) return std::nullopt;
  table.begin = digits_at - *before_digits;
  if (read_tokens(table.begin, 0, '0') != digits_at) return std::nullopt;
  for (std::size_t i = 0; i < kTokens; ++i) {
    const auto at = load<std::uint16_t>(image, table.index + i * 2);
    if (!at || *at != table.tokens[i].data() - table.tokens[0].data()) return std::nullopt;
  }
  return table;
}

struct Names {
  std::size_t begin = 0;     // offset of the first name in the image
  std::size_t end = 0;       // behind the last
  std::uint32_t count = 0;   // num_syms
  std::size_t count_at = 0;  // offset of num_syms
};

// Length of one compressed name and where its bytes start: one byte, or two when bit 7 is set
// (commit 73bbb94466fd "kallsyms: support "big" kernel symbols", v6.1).
struct NameSpan {
  std::size_t at;
  std::size_t length;
};
std::optional<NameSpan> name_at(Bytes image, std::size_t at) {
  const auto low = load<std::uint8_t>(image, at);
  if (!low) return std::nullopt;
  if ((*low & 0x80) == 0) return NameSpan{at + 1, *low};
  const auto high = load<std::uint8_t>(image, at + 1);
  if (!high) return std::nullopt;
  return NameSpan{at + 2, (std::size_t{*low} & 0x7f) | (std::size_t{*high} << 7)};
}

std::optional<std::size_t> skip_names(Bytes image, std::size_t at, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto name = name_at(image, at);
    if (!name || name->length == 0 || name->length > kLongestName) return std::nullopt;
    at = name->at + name->length;
    if (at >= image.size()) return std::nullopt;
  }
  return at;
}

// markers[i] is the offset of name 256*i in names.
struct Markers {
  std::size_t begin = 0;
  std::size_t end = 0;  // without the padding after them
  std::size_t count() const { return (end - begin) / 4; }
};

// The ascending numbers, from a zero on, that end at `end` (perhaps padded by a zero).
std::optional<Markers> markers_ending_at(Bytes image, std::size_t end, Budget& budget) {
  if (end < 4) return std::nullopt;
  Markers markers{end, end};
  if (load<std::uint32_t>(image, end - 4) == 0u) markers = {end - 4, end - 4};  // alignment
  std::uint32_t next = UINT32_MAX;
  while (next != 0) {
    if (markers.begin < 4 || markers.count() > kMostSymbols / kNamesPerMarker) return std::nullopt;
    if (!budget.spend("kallsyms markers")) return std::nullopt;
    const auto marker = load<std::uint32_t>(image, markers.begin - 4);
    if (!marker || *marker >= next) return std::nullopt;
    markers.begin -= 4;
    next = *marker;
  }
  if (markers.count() < 2) return std::nullopt;
  return markers;
}

// The names that end where the markers begin. The last group's length is not recorded, so num_syms
// is looked for where it can be.
std::optional<Names> names_before(Bytes image, const Markers& markers, const TableLayout& layout,
                                  Budget& budget) {
  const auto marker = [&](std::size_t i) {
    return std::size_t{load<std::uint32_t>(image, markers.begin + i * 4).value_or(0)};
  };
  const std::size_t full_groups = markers.count() - 1;
  const std::size_t last_group = marker(full_groups);
  constexpr std::size_t kLongestTail = kNamesPerMarker * 128 + 16;
  if (markers.begin < last_group + kLongestTail) return std::nullopt;
  constexpr std::size_t kPlacesPerStep = 8;
  if (!budget.spend("kallsyms num_syms", kLongestTail / 4 / kPlacesPerStep)) return std::nullopt;
  const std::size_t first = (markers.begin - last_group - kLongestTail) & ~std::size_t{3};
  for (std::size_t at = first; at + 8 <= markers.begin - last_group; at += 4) {
    const auto count = load<std::uint32_t>(image, at);
    if (!count || *count > (full_groups + 1) * kNamesPerMarker ||
        *count <= full_groups * kNamesPerMarker)
      continue;
    if (!budget.spend("kallsyms names", 2 * kNamesPerMarker)) return std::nullopt;
    const std::size_t names = at + layout.alignment;
    if (skip_names(image, names, kNamesPerMarker) != names + marker(1)) continue;
    const auto end = skip_names(image, names + last_group, *count - full_groups * kNamesPerMarker);
    if (!end || align_up(*end, layout.alignment) != markers.begin) continue;
    return Names{names, *end, *count, at};
  }
  return std::nullopt;
}

// The names, from the token table backwards.
std::optional<Names> find_names(Bytes image, const TokenTable& table, const TableLayout& layout,
                                Budget& budget) {
  if (!layout.has_seqs_before_tokens) {
    const auto markers = markers_ending_at(image, table.begin, budget);
    return markers ? names_before(image, *markers, layout, budget) : std::nullopt;
  }
  // seqs_of_names has three bytes a symbol, and how many there are is what we look for: every place
  // where the markers can end is tried, and must agree with the number of symbols found before
  // them.
  const std::size_t furthest = std::min(table.begin, 3 * kMostSymbols);
  for (std::size_t gap = layout.alignment; gap < furthest && budget.left() > 0;
       gap += layout.alignment) {
    const auto markers = markers_ending_at(image, table.begin - gap, budget);
    if (!markers || gap <= 3 * kNamesPerMarker * (markers->count() - 1)) continue;
    const auto names = names_before(image, *markers, layout, budget);
    if (names && align_up(std::size_t{names->count} * 3, layout.alignment) == gap) return names;
  }
  return std::nullopt;
}

// Addresses of all symbols, in the order of their names; empty if this layout does not fit.
std::vector<VirtAddr> read_addresses(Bytes image, const KernelImage& where,
                                     const TableLayout& layout, const Names& names,
                                     std::size_t token_index_end) {
  const std::size_t bytes = std::size_t{names.count} * 4;
  std::size_t offsets_at = align_up(token_index_end, layout.alignment);
  std::size_t base_at = align_up(offsets_at + bytes, 8);
  if (layout.offsets_come_first) {
    if (names.count_at < align_up(bytes, 8) + 8) return {};
    base_at = names.count_at - 8;
    offsets_at = base_at - align_up(bytes, 8);
  }
  if (offsets_at > image.size() || image.size() - offsets_at < bytes) return {};
  const auto offset = [&](std::size_t i) {
    return load<std::int32_t>(image, offsets_at + i * 4).value_or(0);
  };

  std::vector<VirtAddr> addresses(names.count);
  if (!layout.has_relative_base) {
    for (std::size_t i = 0; i < addresses.size(); ++i)
      addresses[i] =
          where.text + offsets_at + i * 4 + static_cast<std::uint64_t>(std::int64_t{offset(i)});
    return addresses;
  }
  const auto base = load<std::uint64_t>(image, base_at);
  if (!base || *base < where.text.value || *base >= where.text.value + where.size) return {};
  // With KALLSYMS_ABSOLUTE_PERCPU (x86 SMP up to 6.14) most offsets are negative: base - 1 -
  // offset. The others are absolute: values of per-CPU variables.
  std::size_t negative = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) negative += offset(i) < 0 ? 1U : 0U;
  const bool absolute_percpu = negative > addresses.size() / 2;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const std::int64_t value = offset(i);
    if (!absolute_percpu)
      addresses[i] = {*base + static_cast<std::uint32_t>(offset(i))};
    else if (value >= 0)
      addresses[i] = {static_cast<std::uint64_t>(value)};
    else
      addresses[i] = {*base + static_cast<std::uint64_t>(-1 - value)};
  }
  return addresses;
}

std::string_view without_number_suffix(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == name.size()) return name;
  const auto suffix = name.substr(dot + 1);
  const bool is_number =
      std::all_of(suffix.begin(), suffix.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? name.substr(0, dot) : name;
}

Symbols decode(Bytes image, const TokenTable& table, const Names& names,
               const std::vector<VirtAddr>& addresses, std::span<const std::string_view> wanted) {
  const std::unordered_set<std::string_view> wanted_names(wanted.begin(), wanted.end());
  Symbols symbols;
  std::string name;
  std::size_t at = names.begin;
  for (std::size_t i = 0; i < names.count; ++i) {
    const auto compressed = name_at(image, at);
    if (!compressed || compressed->at + compressed->length > image.size()) break;
    name.clear();
    for (std::size_t j = 0; j < compressed->length && name.size() < kLongestName; ++j)
      name += table.tokens[static_cast<std::uint8_t>(image[compressed->at + j])];
    at = compressed->at + compressed->length;
    if (name.empty()) continue;
    const auto plain =
        without_number_suffix(std::string_view(name).substr(1));  // [0] is nm's type letter
    if (wanted_names.contains(plain)) symbols.add(std::string(plain), addresses[i]);
  }
  return symbols;
}

// The page of the image where each table lies is read again, and not only swept: what we build on
// belongs to a recording of the pages that matter.
void note_use(const memory::GuestMemory& memory, const KernelImage& where, std::size_t begin,
              std::size_t end) {
  std::vector<std::byte> bytes(end - begin);
  (void)memory.read(where.text_phys + begin, bytes);
}

}  // namespace

std::optional<VirtAddr> Symbols::find(std::string_view name) const {
  const auto found = addresses_.find(std::string(name));
  if (found == addresses_.end()) return std::nullopt;
  return found->second;
}

Result<VirtAddr> Symbols::need(std::string_view name) const {
  if (const auto at = find(name)) return *at;
  return fail(Errc::profile_lacks_symbol,
              "the guest kernel's kallsyms has no symbol {}; kernels need CONFIG_KALLSYMS_ALL",
              name);
}

Result<Symbols> read_kallsyms(const memory::GuestMemory& memory, const KernelImage& where,
                              std::span<const std::string_view> wanted) {
  std::vector<std::byte> bytes(where.size);
  for (std::uint64_t at = 0; at < where.size; at += kLargePageSize)
    (void)memory.sweep(where.text_phys + at,
                       std::span(bytes).subspan(at, kLargePageSize));  // zeros if absent
  const Bytes image = bytes;

  Budget budget(kMostSteps);
  std::size_t digits_seen = 0;
  const auto* text = reinterpret_cast<const char*>(image.data());
  for (std::size_t from = 0;
       from < image.size() && digits_seen < kMostTables && budget.left() > 0;) {
    const void* found = memmem(text + from, image.size() - from, kDigits, sizeof kDigits);
    if (found == nullptr) break;
    const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - text);
    from = at + 1;
    ++digits_seen;
    for (const TableLayout& layout : kLayouts) {
      const auto table = token_table_around(image, at, layout.alignment);
      if (!table || table->begin % layout.alignment != 0) continue;
      const auto names = find_names(image, *table, layout, budget);
      if (!names) continue;
      // Addresses and names are all read before `_text` says whether they are any.
      if (!budget.spend("kallsyms symbols", names->count + (names->end - names->begin))) break;
      const std::size_t token_index_end = table->index + kTokens * 2;
      const auto addresses = read_addresses(image, where, layout, *names, token_index_end);
      if (addresses.empty()) continue;
      Symbols symbols = decode(image, *table, *names, addresses, wanted);
      // By meaning: the image starts at _text, and we know where the image starts.
      if (symbols.find("_text") != where.text) continue;
      const std::size_t offsets = std::size_t{names->count} * 4 + 64;
      note_use(memory, where,
               layout.offsets_come_first ? names->count_at - std::min(names->count_at, offsets)
                                         : names->count_at,
               layout.offsets_come_first ? token_index_end
                                         : std::min(image.size(), token_index_end + offsets));
      return symbols;
    }
  }
  return fail(Errc::guest_kernel_not_found,
              "no kallsyms tables in the kernel image at {} ({} MiB, {} possible token tables): "
              "the kernel is still unpacking, was built without CONFIG_KALLSYMS, or lays them out "
              "in a new way",
              where.text, where.size >> 20, digits_seen);
}

}  // namespace xfilter::guest::kernel
