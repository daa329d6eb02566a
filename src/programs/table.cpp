// SPDX-License-Identifier: Apache-2.0
#include "programs/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace xfilter::programs {
namespace {

std::string shown(const std::string& cell) {
  std::string text = cell;
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return text;
}

std::string cut(const std::string& text, std::size_t width) {
  if (text.size() <= width) return text;
  return width > 2 ? text.substr(0, width - 2) + ".." : text.substr(0, width);
}

}  // namespace

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  constexpr std::size_t kGap = 2, kLeast = 12, kNarrowLast = 20;
  std::size_t total = kGap * (widths.size() - 1);
  for (const std::size_t width : widths) total += width;
  while (total > kTableWidth) {
    // Take from the last column until it is narrow, then from the widest.
    std::size_t& victim = widths.back() > kNarrowLast
                              ? widths.back()
                              : *std::max_element(widths.begin(), widths.end());
    if (victim <= kLeast) break;
    const std::size_t take =
        std::min(total - kTableWidth, victim > kNarrowLast ? victim - kNarrowLast : std::size_t{1});
    victim -= take;
    total -= take;
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = cut(shown(row[i]), widths[i]);
      line += i + 1 < row.size() ? fmt::format("{:<{}}", cell, widths[i] + kGap) : cell;
    }
    fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

}  // namespace xfilter::programs
