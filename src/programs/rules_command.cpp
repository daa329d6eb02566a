// SPDX-License-Identifier: Apache-2.0
// The tools for rule files: check, plan, explain. Those for rules in force are in
// running_rules_command.cpp.
#include <memory>
#include <nlohmann/json.hpp>

#include "policy/asked.h"
#include "policy/json.h"
#include "policy/lint.h"
#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/packet_capture.h"
#include "programs/rule_files.h"
#include "programs/rule_tables.h"
#include "programs/table.h"
#include "programs/vm_option.h"

namespace xfilter::programs {
namespace {

using nlohmann::ordered_json;

struct Options {
  RuleFiles files;
  std::string vm, packet, capture, owner;
  bool is_json = false;
};

ordered_json to_json(const policy::Diagnostics& diagnostics) {
  ordered_json list = ordered_json::array();
  for (const policy::Diagnostic& at : diagnostics)
    list.push_back({{"file", at.file},
                    {"line", at.line},
                    {"column", at.column},
                    {"message", at.message},
                    {"hint", at.hint}});
  return list;
}

Result<void> check(const Options& options, int& exit_code) {
  XF_TRY(parsed, parse_files(options.files));
  if (!parsed && !options.is_json) return fail(errors_in(options.files, parsed.error()));
  const auto warnings = parsed ? policy::lint(*parsed) : policy::Diagnostics();
  const std::size_t rules = parsed ? parsed->rules().size() : 0;
  if (options.is_json) {
    ordered_json list = ordered_json::array();
    if (parsed)
      for (const policy::Rule& rule : parsed->rules()) list.push_back(policy::to_json(rule));
    print_json({{"file", options.files.rules},
                {"rules", std::move(list)},
                {"errors", to_json(parsed ? policy::Diagnostics() : parsed.error())},
                {"warnings", to_json(warnings)}});
    exit_code = parsed ? 0 : 1;
    return {};
  }
  fmt::print("{}{}: {} rules, no errors", policy::render(warnings), options.files.rules, rules);
  if (!warnings.empty())
    fmt::print(", {} warning{}", warnings.size(), warnings.size() == 1 ? "" : "s");
  fmt::print("\n");
  return {};
}

Result<void> plan(const Options& options, int&) {
  ordered_json told;
  if (options.files.rules.empty()) {
    XF_TRY(answer, ask(options.vm, {{"do", "plan"}}));
    told = answer;
  } else {
    XF_TRY(loaded, load_policy(options.files));
    told = policy::to_json(policy::lower(loaded));
  }
  if (options.is_json)
    print_json(told);
  else
    print_plan(told);
  return {};
}

// Each packet of a file, as if that owner had sent it.
Result<void> explain_capture(const Options& options) {
  if (options.files.rules.empty())
    return fail(Errc::input_invalid, "--pcap asks a rule file: give its name");
  XF_TRY(loaded, load_policy(options.files));
  XF_TRY(asked, policy::Asked::parse("tcp 0.0.0.0:0 0.0.0.0:0",
                                     options.owner.empty() ? "nobody" : options.owner));
  XF_TRY(capture, PacketCapture::open(options.capture));
  std::vector<std::vector<std::string>> rows = {{"PACKET", "", "VERDICT", "RULE", ""}};
  ordered_json list = ordered_json::array();
  for (std::size_t number = 1;; ++number) {
    XF_TRY(frame, capture.next());
    if (!frame) break;
    asked.packet = packet::parse_frame(*frame);
    const auto steps = policy::explain(loaded, asked.subject());
    auto told = policy::to_json(steps);
    const policy::Rule& rule = *steps.back().rule;
    rows.push_back({std::to_string(number), packet::to_string(asked.packet.flow),
                    model::to_string(rule.action), place_of(rule), rule.place.text});
    told["packet"] = packet::to_string(asked.packet.flow);
    list.push_back(std::move(told));
  }
  if (options.is_json)
    print_json({{"packets", std::move(list)}});
  else
    print_table(rows);
  return {};
}

Result<void> explain(const Options& options, int&) {
  if (!options.capture.empty()) return explain_capture(options);
  if (options.packet.empty())
    return fail(Errc::input_invalid,
                "which packet? Give --packet 'tcp 10.0.0.2:4711 10.0.0.1:25' or --pcap FILE");
  ordered_json told;
  if (options.files.rules.empty()) {
    nlohmann::json request = {{"do", "explain"}, {"packet", options.packet}};
    if (!options.owner.empty()) request["owner"] = options.owner;
    XF_TRY(answer, ask(options.vm, request));
    told = answer;
  } else {
    XF_TRY(loaded, load_policy(options.files));
    XF_TRY(asked,
           policy::Asked::parse(options.packet, options.owner.empty() ? "nobody" : options.owner));
    told = policy::to_json(policy::explain(loaded, asked.subject(), asked.age));
  }
  if (options.is_json)
    print_json(told);
  else
    print_explanation(told);
  return {};
}

}  // namespace

void add_rules_command(CLI::App& app, int& exit_code) {
  auto* rules =
      app.add_subcommand("rules", "work on rule files, and on the rules of a running agent");
  rules->require_subcommand(1);
  const auto add = [&](const char* name, const char* help,
                       Result<void> (*run)(const Options&, int&)) {
    auto* command = rules->add_subcommand(name, help);
    auto options = std::make_shared<Options>();
    command->add_option("file", options->files.rules, "rule file");
    add_names_options(*command, options->files);
    command->add_flag("--json", options->is_json, "as JSON");
    command->callback([=, &exit_code] {
      if (auto done = run(*options, exit_code); !done) exit_code = report(done.error());
    });
    return std::pair(command, options);
  };
  add("check", "say what is wrong in a rule file, all at once", check)
      .first->get_option("file")
      ->required();
  const auto [plan_command, plan_options] =
      add("plan", "show which packets wait for their owner, and which need not", plan);
  add_vm_option(*plan_command, plan_options->vm);
  const auto [command, options] =
      add("explain", "show which rule decides a packet, and what the others missed on", explain);
  add_vm_option(*command, options->vm);
  command->add_option("--packet", options->packet, "such as: tcp 10.0.0.2:4711 10.0.0.1:25");
  command->add_option("--pcap", options->capture, "all packets of a capture file, one line each");
  command->add_option("--owner", options->owner,
                      "such as: pid=7@3.25 uid=33 exe=/bin/x & pid=8 uid=33; default: with a file "
                      "nobody, of a VM who sent the flow");
  add_running_rules_commands(*rules, exit_code);
}

}  // namespace xfilter::programs
