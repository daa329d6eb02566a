// SPDX-License-Identifier: Apache-2.0
#include "policy/edit.h"

#include <algorithm>

#include "policy/tokens.h"

namespace xfilter::policy {
namespace {

// Lines with their ends; the last may have none.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

bool is_rule(std::string_view line) {
  const auto tokens = tokens_of(line.substr(0, line.find('\n')));
  if (tokens.empty()) return false;
  const auto word = tokens.front().text;
  return word == "allow" || word == "drop" || word == "protect" || word == "observe" ||
         word == "default" || word == "include";
}

std::string joined(const std::vector<std::string_view>& lines) {
  std::string text;
  for (const auto line : lines) text += line;
  return text;
}

}  // namespace

std::string without_line(std::string_view text, int line) {
  auto lines = lines_of(text);
  if (line >= 1 && static_cast<std::size_t>(line) <= lines.size())
    lines.erase(lines.begin() + line - 1);
  return joined(lines);
}

std::string with_rules_first(std::string_view text, const std::vector<std::string>& rules) {
  const auto lines = lines_of(text);
  const auto first = std::find_if(lines.begin(), lines.end(), is_rule);
  std::string changed = joined({lines.begin(), first});
  if (!changed.empty() && changed.back() != '\n') changed += '\n';
  for (const std::string& rule : rules) changed += rule + '\n';
  return changed + joined({first, lines.end()});
}

}  // namespace xfilter::policy
