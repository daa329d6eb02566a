// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <memory>

#include "engine/opener.h"
#include "policy/lint.h"
#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/rule_files.h"

namespace xfilter::programs {
namespace {

struct Options {
  engine::AttachOptions attach;
  RuleFiles files;
  int wait_seconds = 0;
  bool shows_command_lines = false;
  bool may_cut_off = false;
};

int run(Options& options) {
  auto policy = load_policy(options.files);
  if (!policy) return report(policy.error());
  if (const policy::Rule* rule = policy::cuts_off(*policy); rule != nullptr && !options.may_cut_off)
    return report({Errc::input_invalid,
                   fmt::format("{}: {}: this policy cuts the VM off: nothing it sends can pass. If "
                               "that is wanted, say --yes; otherwise put rules before it that "
                               "allow something",
                               policy::place_of(*rule), rule->place.text)});
  if (::geteuid() != 0)
    return report({Errc::host_refused,
                   "attach needs root: it reads the VMM's memory and adds eBPF programs to its "
                   "netdevs. Run it with sudo; it gives up what it does not need by itself"});
  options.attach.agent.wait_for_guest = std::chrono::seconds(options.wait_seconds);
  if (options.shows_command_lines) options.attach.agent.command_lines = engine::CommandLines::shown;
  auto ended = engine::run_opener(options.attach, *policy);
  return ended ? 0 : report(ended.error());
}

}  // namespace

void add_attach_command(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("attach", "filter a VM's packets until stopped; Ctrl-C detaches");
  auto options = std::make_shared<Options>();
  command
      ->add_option("--pid", options->attach.vmm, "process id of the VMM (QEMU, Firecracker, ...)")
      ->required();
  command->add_option("--dev", options->attach.netdevs,
                      "netdev of the VM; may be repeated (default: all its taps)");
  command->add_option("--rules", options->files.rules, "rule file")->required();
  add_names_options(*command, options->files);
  command
      ->add_option("--events", options->attach.events_file,
                   "where verdicts go, as JSON lines (default: -)")
      ->default_val("-");
  command->add_flag("--yes", options->may_cut_off,
                    "also with rules that let nothing of the VM pass");
  command->add_flag("--command-lines", options->shows_command_lines,
                    "show the tenants' command lines in events");
  command
      ->add_option("--wait", options->wait_seconds,
                   "seconds to wait for a guest that is still booting")
      ->check(CLI::NonNegativeNumber);
  command->callback([=, &exit_code] { exit_code = run(*options); });
}

}  // namespace xfilter::programs
