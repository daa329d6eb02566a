// SPDX-License-Identifier: Apache-2.0
// engine/rulebook.h: the policy in force, with the texts that it was made of, so that it can be
// changed, told, stored and taken back.
//
// A value: each with_...() gives another rulebook and leaves this one as it is; difference() is
// what to commit for going from one to the other. In the store each rule file, each rule added at
// run time and the mode is an entry, as JSON. Rules that stay as they are keep their age and hits.
// Errors: input_invalid with the rendered diagnostics. Threads: one. Cost: all texts are parsed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/mode.h"
#include "policy/policy.h"
#include "store/store.h"

namespace xfilter::engine {

struct SourceFile {
  std::string path, text;
};

// The texts of rule files, as they were read.
struct RuleSources {
  std::vector<SourceFile> files;  // the first includes the others
  std::optional<SourceFile> users, groups;
};

// A rule that is in no file.
struct RuntimeRule {
  int id = 0;
  std::string text, by, why;
  std::chrono::sys_seconds added;
};

class Rulebook {
 public:
  // Where rules that are new begin to age.
  using UseTable = std::map<std::string, store::Use>;

  static Result<Rulebook> of(store::Version version, const UseTable& uses,
                             std::chrono::seconds now);

  Result<Rulebook> with_sources(const RuleSources& sources, const UseTable& uses,
                                std::chrono::seconds now) const;
  // It comes before all rules of its section that are there already.
  Result<Rulebook> with_rule(std::string text, std::string by, std::string why,
                             const UseTable& uses, std::chrono::seconds now) const;
  Result<Rulebook> without_rules(const std::vector<int>& ids, const UseTable& uses,
                                 std::chrono::seconds now) const;
  Result<Rulebook> with_mode(Mode mode, const UseTable& uses, std::chrono::seconds now) const;

  const std::shared_ptr<const policy::Policy>& policy() const { return policy_; }
  Mode mode() const { return mode_; }
  const RuleSources& sources() const { return sources_; }
  const RuntimeRule* runtime_rule(const policy::Rule& rule) const;  // none when it is of a file
  const std::vector<RuntimeRule>& runtime_rules() const { return runtime_; }

  // What each rule is called among the uses; in the order of policy()->rules(), then the default.
  const std::vector<std::string>& use_names() const { return use_names_; }

  const std::vector<store::Entry>& entries() const { return entries_; }
  static store::Change difference(const Rulebook& from, const Rulebook& to);

 private:
  Result<void> read_entry(const store::Entry& entry);
  Result<void> build(const UseTable& uses, std::chrono::seconds now);

  std::vector<store::Entry> entries_;
  std::int64_t next_entry_ = 1;
  RuleSources sources_;
  std::vector<RuntimeRule> runtime_;  // as they were added, so by id
  Mode mode_ = Mode::enforce;
  std::shared_ptr<const policy::Policy> policy_;
  std::vector<std::string> use_names_;
};

}  // namespace xfilter::engine
