// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <nlohmann/json.hpp>

#include "policy/asked.h"
#include "policy/explain.h"
#include "policy/json.h"
#include "policy/lint.h"
#include "policy/lowering.h"
#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/rule_files.h"
#include "programs/table.h"

namespace xfilter::programs {
namespace {

using nlohmann::ordered_json;

struct Options {
  RuleFiles files;
  std::string packet, owner = "nobody";
  bool is_json = false;
};

void print(const ordered_json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

ordered_json to_json(const std::vector<policy::Diagnostic>& diagnostics) {
  ordered_json list = ordered_json::array();
  for (const policy::Diagnostic& at : diagnostics)
    list.push_back({{"file", at.file},
                    {"line", at.line},
                    {"column", at.column},
                    {"message", at.message},
                    {"hint", at.hint}});
  return list;
}

int check(const Options& options) {
  const auto parsed = parse_files(options.files);
  if (!parsed) return report(parsed.error());
  if (!*parsed && !options.is_json) return report(errors_in(options.files, parsed->error()));
  const auto warnings = *parsed ? policy::lint(**parsed) : std::vector<policy::Diagnostic>();
  const std::size_t rules = *parsed ? (*parsed)->rules().size() : 0;
  if (options.is_json) {
    ordered_json list = ordered_json::array();
    if (*parsed)
      for (const policy::Rule& rule : (*parsed)->rules()) list.push_back(policy::to_json(rule));
    print({{"file", options.files.rules},
           {"rules", std::move(list)},
           {"errors", to_json(*parsed ? std::vector<policy::Diagnostic>() : parsed->error())},
           {"warnings", to_json(warnings)}});
    return *parsed ? 0 : 1;
  }
  fmt::print("{}{}: {} rules, no errors", policy::render(warnings), options.files.rules, rules);
  if (!warnings.empty())
    fmt::print(", {} warning{}", warnings.size(), warnings.size() == 1 ? "" : "s");
  fmt::print("\n");
  return 0;
}

std::string told(const policy::Step& step) {
  switch (step.outcome) {
    case policy::Outcome::missed:
      return fmt::format("{}: {}", step.missed_on, step.found);
    case policy::Outcome::expired:
      return step.found;
    case policy::Outcome::observed:
    case policy::Outcome::decides:
      break;
  }
  return step.rule->place.text;
}

int explain(const Options& options) {
  const auto loaded = load_policy(options.files);
  if (!loaded) return report(loaded.error());
  const auto asked = policy::Asked::parse(options.packet, options.owner);
  if (!asked) return report(asked.error());
  const auto steps = policy::explain(*loaded, asked->subject(), asked->age);
  const char* const verdict = model::to_string(steps.back().rule->action);
  if (options.is_json) {
    ordered_json list = ordered_json::array();
    for (const policy::Step& step : steps)
      list.push_back({{"rule", policy::to_json(*step.rule)},
                      {"outcome", policy::to_string(step.outcome)},
                      {"missed_on", step.missed_on},
                      {"found", step.found}});
    print({{"verdict", verdict}, {"steps", std::move(list)}});
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"RULE", "OUTCOME", ""}};
  for (const policy::Step& step : steps) {
    std::string outcome = policy::to_string(step.outcome);
    if (step.outcome == policy::Outcome::decides) outcome = verdict;
    if (step.outcome == policy::Outcome::observed)
      outcome = fmt::format("would {}", model::to_string(step.rule->action));
    rows.push_back({place_of(*step.rule), outcome, told(step)});
  }
  print_table(rows);
  return 0;
}

int plan(const Options& options) {
  const auto loaded = load_policy(options.files);
  if (!loaded) return report(loaded.error());
  const policy::Plan made = policy::lower(*loaded);
  std::vector<std::vector<std::string>> rows = {{"PACKETS", "TREATMENT", "BECAUSE OF", ""}};
  ordered_json list = ordered_json::array();
  for (const policy::HeaderClass& one : made.classes) {
    std::string headers;
    for (const policy::Match* match : one.matches)
      headers += (headers.empty() ? "" : " ") + policy::to_string(*match);
    if (headers.empty()) headers = "all";
    rows.push_back({headers, policy::to_string(one.treatment), place_of(*one.because),
                    one.because->place.text});
    list.push_back({{"packets", headers},
                    {"treatment", policy::to_string(one.treatment)},
                    {"because", policy::to_json(*one.because)}});
  }
  const policy::Rule& rest = loaded->by_default();
  rows.push_back({"the rest", policy::to_string(made.otherwise), place_of(rest), rest.place.text});
  if (options.is_json)
    print({{"classes", std::move(list)}, {"otherwise", policy::to_string(made.otherwise)}});
  else
    print_table(rows);
  return 0;
}

}  // namespace

void add_rules_command(CLI::App& app, int& exit_code) {
  auto* rules = app.add_subcommand("rules", "work on rule files");
  rules->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*run)(const Options&)) {
    auto* command = rules->add_subcommand(name, help);
    auto options = std::make_shared<Options>();
    command->add_option("file", options->files.rules, "rule file")->required();
    add_names_options(*command, options->files);
    command->add_flag("--json", options->is_json, "as JSON");
    command->callback([=, &exit_code] { exit_code = run(*options); });
    return std::pair(command, options);
  };
  add("check", "say what is wrong in a rule file, all at once", check);
  add("plan", "show which packets wait for their owner, and which need not", plan);
  const auto [command, options] =
      add("explain", "show which rule decides a packet, and what the others missed on", explain);
  command->add_option("--packet", options->packet, "such as: tcp 10.0.0.2:4711 10.0.0.1:25")
      ->required();
  command->add_option("--owner", options->owner,
                      "such as: pid=7@3.25 uid=33 exe=/bin/x & pid=8 uid=33; default: nobody");
}

}  // namespace xfilter::programs
