// SPDX-License-Identifier: Apache-2.0
#include "programs/rule_files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "policy/parse.h"

namespace xfilter::programs {
namespace {

Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return fail(Errc::input_invalid, "{}: is a directory; expected a text file", path);
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::input_invalid, "{}: {}", path, std::strerror(errno));
  std::string text(policy::kLargestFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.find('\0') != std::string::npos)
    return fail(Errc::input_invalid, "{}: contains NUL bytes; expected a text file", path);
  return text;
}

}  // namespace

void add_names_options(CLI::App& command, RuleFiles& files) {
  command.add_option("--users", files.users,
                     "the guest's users, in passwd format, for `user NAME` in rules");
  command.add_option("--groups", files.groups,
                     "the guest's groups, in group format, for `group NAME` in rules");
}

Result<Parsed> parse_files(const RuleFiles& files) {
  XF_TRY(text, read_file(files.rules));
  std::optional<policy::Names> users, groups;
  for (const auto& [path, names] : {std::pair(&files.users, &users), {&files.groups, &groups}}) {
    if (path->empty()) continue;
    XF_TRY(names_text, read_file(*path));
    XF_TRY(parsed, policy::Names::parse(names_text, *path));
    *names = std::move(parsed);
  }
  return policy::parse(text, files.rules,
                       {users ? &*users : nullptr, groups ? &*groups : nullptr, read_file});
}

Error errors_in(const RuleFiles& files, const std::vector<policy::Diagnostic>& errors) {
  return {Errc::input_invalid, fmt::format("{}{}: {} error{}", policy::render(errors), files.rules,
                                           errors.size(), errors.size() == 1 ? "" : "s")};
}

Result<policy::Policy> load_policy(const RuleFiles& files) {
  XF_TRY(parsed, parse_files(files));
  if (!parsed) return fail(errors_in(files, parsed.error()));
  return std::move(*parsed);
}

}  // namespace xfilter::programs
