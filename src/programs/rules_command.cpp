// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/rule_files.h"

namespace xfilter::programs {

void add_rules_command(CLI::App& app, int& exit_code) {
  auto* rules = app.add_subcommand("rules", "work on rule files");
  rules->require_subcommand(1);
  auto* check = rules->add_subcommand("check", "say what is wrong in a rule file, all at once");
  auto files = std::make_shared<RuleFiles>();
  check->add_option("file", files->rules, "rule file")->required();
  add_names_options(*check, *files);
  check->callback([=, &exit_code] {
    const auto policy = load_policy(*files);
    if (!policy) {
      exit_code = report(policy.error());
      return;
    }
    fmt::print("{}: {} rules, no errors\n", files->rules, policy->rules().size());
  });
}

}  // namespace xfilter::programs
