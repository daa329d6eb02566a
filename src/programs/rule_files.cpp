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

Result<policy::Policy> load_policy(const std::string& rules_file, const std::string& users_file) {
  XF_TRY(text, read_file(rules_file));
  std::optional<policy::Users> users;
  if (!users_file.empty()) {
    XF_TRY(users_text, read_file(users_file));
    XF_TRY(parsed, policy::Users::parse(users_text, users_file));
    users = std::move(parsed);
  }
  auto policy = policy::parse(text, rules_file, users ? &*users : nullptr);
  if (policy) return std::move(*policy);
  const std::size_t count = policy.error().size();
  return fail(Errc::input_invalid, "{}{}: {} error{}", policy::render(policy.error()), rules_file,
              count, count == 1 ? "" : "s");
}

}  // namespace xfilter::programs
