// SPDX-License-Identifier: Apache-2.0
#include "policy/tokens.h"

#include <algorithm>

namespace xfilter::policy {
namespace {

constexpr std::string_view kSpace = " \t\r";
constexpr std::string_view kPunctuation = "{},";

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<Token> tokens_of(std::string_view line) {
  line = line.substr(0, line.find('#'));
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < line.size();) {
    if (kSpace.find(line[at]) != std::string_view::npos) {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    if (kPunctuation.find(line[at]) == std::string_view::npos)
      end = std::min(line.find_first_of(" \t\r{},", at), line.size());
    tokens.push_back({line.substr(at, end - at), static_cast<int>(at) + 1});
    at = end;
  }
  return tokens;
}

std::string_view closest(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  std::size_t distance = std::min<std::size_t>(3, word.size());
  if (word.size() > 32) return best;
  for (const std::string_view candidate : known)
    if (const auto d = edit_distance(word, candidate); d < distance) {
      best = candidate;
      distance = d;
    }
  return best;
}

}  // namespace xfilter::policy
