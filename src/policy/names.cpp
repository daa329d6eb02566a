// SPDX-License-Identifier: Apache-2.0
#include "policy/names.h"

#include <charconv>
#include <sstream>

namespace xfilter::policy {

Result<Names> Names::parse(std::string_view text, const std::string& file) {
  Names names;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const auto name_end = line.find(':');
    const auto number_begin =
        name_end == std::string::npos ? name_end : line.find(':', name_end + 1);
    std::uint32_t id = 0;
    const char* begin =
        number_begin == std::string::npos ? nullptr : line.data() + number_begin + 1;
    const auto parsed = begin == nullptr
                            ? std::from_chars_result{nullptr, std::errc::invalid_argument}
                            : std::from_chars(begin, line.data() + line.size(), id);
    const bool is_whole =
        parsed.ec == std::errc() && (parsed.ptr == line.data() + line.size() || *parsed.ptr == ':');
    if (name_end == 0 || !is_whole)
      return fail(Errc::input_invalid,
                  "{}:{}: expected name:password:number:... as in the guest's /etc/passwd or "
                  "/etc/group, found "
                  "\"{}\"",
                  file, number, line);
    names.by_name_.try_emplace(line.substr(0, name_end), id);
  }
  return names;
}

std::optional<std::uint32_t> Names::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

}  // namespace xfilter::policy
