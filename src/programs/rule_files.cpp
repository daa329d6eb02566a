// SPDX-License-Identifier: Apache-2.0
#include "programs/rule_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/fd.h"

namespace xfilter::programs {
namespace {

// All files that were read, when somebody wants to know.
struct Read {
  engine::RuleSources* sources = nullptr;

  Result<std::string> operator()(const std::string& path) const {
    XF_TRY(text, read_text_file(path));
    if (sources != nullptr) {
      const auto absolute = std::filesystem::absolute(path).string();
      auto& files = sources->files;
      if (std::none_of(files.begin(), files.end(),
                       [&](const engine::SourceFile& file) { return file.path == absolute; }))
        files.push_back({absolute, text});
    }
    return text;
  }
};

Result<Parsed> parse_files(const RuleFiles& files, const Read& read) {
  XF_TRY(text, read(files.rules));
  std::optional<policy::Names> users, groups;
  for (const auto& [path, names, source] :
       {std::tuple(&files.users, &users, &engine::RuleSources::users),
        {&files.groups, &groups, &engine::RuleSources::groups}}) {
    if (path->empty()) continue;
    XF_TRY(names_text, read_text_file(*path));
    XF_TRY(parsed, policy::Names::parse(names_text, *path));
    *names = std::move(parsed);
    if (read.sources != nullptr)
      read.sources->*source = {std::filesystem::absolute(*path).string(), names_text};
  }
  return policy::parse(text, files.rules,
                       {users ? &*users : nullptr, groups ? &*groups : nullptr, read});
}

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
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

Result<NextText> NextText::write(const std::string& path, const std::string& text) {
  // Through links, so that the link stays one.
  std::error_code error;
  NextText next(std::filesystem::canonical(path, error).string());
  struct stat status {};
  const auto refused = [&](const char* step) {
    return fail(Errc::host_refused, "{}: {}: {}; nothing was changed", path, step,
                std::strerror(errno));
  };
  if (error || ::stat(next.target_.c_str(), &status) != 0) return refused("cannot be found");
  Fd file(
      ::open(next.beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return refused("cannot write beside it");
  if (!write_all(file, text)) return refused("write");
  if (::fchown(file.number(), status.st_uid, status.st_gid) != 0) return refused("chown");
  if (::fchmod(file.number(), status.st_mode & 07777) != 0) return refused("chmod");
  if (::fsync(file.number()) != 0) return refused("fsync");
  return next;
}

NextText::~NextText() {
  if (!beside_.empty()) ::unlink(beside_.c_str());
}

Result<void> NextText::replace() {
  if (::rename(beside_.c_str(), target_.c_str()) != 0)
    return fail(Errc::host_refused, "{}: {}", target_, std::strerror(errno));
  beside_.clear();
  return {};
}

void add_names_options(CLI::App& command, RuleFiles& files) {
  command.add_option("--users", files.users,
                     "the guest's users, in passwd format, for `user NAME` in rules");
  command.add_option("--groups", files.groups,
                     "the guest's groups, in group format, for `group NAME` in rules");
}

Result<Parsed> parse_files(const RuleFiles& files) {
  return parse_files(files, Read{});
}

Error errors_in(const RuleFiles& files, const policy::Diagnostics& errors) {
  return {Errc::input_invalid, fmt::format("{}{}: {} error{}", policy::render(errors), files.rules,
                                           errors.size(), errors.size() == 1 ? "" : "s")};
}

Result<policy::Policy> load_policy(const RuleFiles& files) {
  XF_TRY(parsed, parse_files(files));
  if (!parsed) return fail(errors_in(files, parsed.error()));
  return std::move(*parsed);
}

Result<LoadedSources> load_sources(const RuleFiles& files) {
  engine::RuleSources sources;
  XF_TRY(parsed, parse_files(files, Read{&sources}));
  if (!parsed) return fail(errors_in(files, parsed.error()));
  return LoadedSources{std::move(sources), std::move(*parsed)};
}

}  // namespace xfilter::programs
