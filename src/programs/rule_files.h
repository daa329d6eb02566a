// SPDX-License-Identifier: Apache-2.0
// programs/rule_files.h: a rule file, with what it includes and refers to, from disk and back.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "engine/rulebook.h"
#include "policy/diagnostic.h"
#include "policy/parse.h"

namespace xfilter::programs {

// What a command line says of it.
struct RuleFiles {
  std::string rules;
  std::string users, groups;  // may be empty
};
// `rules` stays the caller's to add. The options write to `files`, which has to outlive the
// command.
void add_names_options(CLI::App& command, RuleFiles& files);

// Errors in the rules are a result too; the outer error is about files that cannot be read.
using Parsed = tl::expected<policy::Policy, policy::Diagnostics>;
Result<Parsed> parse_files(const RuleFiles& files);
// All of them, rendered, and how many there are.
Error errors_in(const RuleFiles& files, const policy::Diagnostics& errors);

// The two in one: for who only wants the policy.
Result<policy::Policy> load_policy(const RuleFiles& files);

// For an agent, which can read no files: all the texts too, under absolute paths.
struct LoadedSources {
  engine::RuleSources sources;
  policy::Policy policy;
};
Result<LoadedSources> load_sources(const RuleFiles& files);

Result<std::string> read_text_file(const std::string& path);

// A file's next text, on disk beside it. replace() puts it in its place in one step: a reader, and
// a crash, see the old file or the new one. Owner and permissions stay.
class NextText {
 public:
  static Result<NextText> write(const std::string& path, const std::string& text);
  NextText(NextText&& other) noexcept
      : target_(std::move(other.target_)), beside_(std::exchange(other.beside_, {})) {}
  NextText& operator=(NextText&&) = delete;
  ~NextText();  // without replace() nothing was changed

  Result<void> replace();

 private:
  explicit NextText(std::string target)
      : target_(std::move(target)), beside_(target_ + ".xfilter-new") {}
  std::string target_, beside_;
};

}  // namespace xfilter::programs
