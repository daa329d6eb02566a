// SPDX-License-Identifier: Apache-2.0
#include <grp.h>
#include <unistd.h>

#include <memory>

#include "control/address.h"
#include "engine/opener.h"
#include "policy/lint.h"
#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/rule_files.h"
#include "programs/vm_name.h"

namespace xfilter::programs {
namespace {

struct Options {
  engine::AttachOptions attach;
  RuleFiles files;
  std::string name, mode, operators, readers;
  int wait_seconds = 0;
  int event_days = 7, event_mib = 256;
  bool shows_command_lines = false;
  bool may_cut_off = false;
};

Result<std::optional<gid_t>> group_called(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (const group* found = ::getgrnam(name.c_str())) return found->gr_gid;
  return fail(Errc::input_invalid, "there is no group \"{}\" on this host: make it with groupadd",
              name);
}

Result<void> prepare(Options& options) {
  engine::AttachOptions& attach = options.attach;
  if (!options.files.rules.empty()) {
    XF_TRY(loaded, load_sources(options.files));
    if (const policy::Rule* rule = policy::cuts_off(loaded.policy);
        rule != nullptr && !options.may_cut_off)
      return fail(Errc::input_invalid,
                  "{}: {}: this policy cuts the VM off: nothing it sends can pass. If that is "
                  "wanted, say --yes; otherwise put rules before it that allow something",
                  policy::place_of(*rule), rule->place.text);
    attach.agent.sources = std::move(loaded.sources);
  }
  if (::geteuid() != 0)
    return fail(Errc::host_refused,
                "attach needs root: it reads the VMM's memory and adds eBPF programs to its "
                "netdevs. Run it with sudo; it gives up what it does not need by itself");
  XF_TRY(operators, group_called(options.operators));
  XF_TRY(readers, group_called(options.readers));
  attach.agent.groups = {readers, operators};
  const VmName vm = vm_name_of(attach.vmm);
  const std::string given = cleaned_name(options.name);
  attach.agent.vm = given.empty() ? vm.name : given;
  attach.store_subject = given.empty() ? vm.identity : given;
  if (attach.store.empty()) attach.store = fmt::format("/var/lib/xfilter/{}.db", attach.agent.vm);
  if (attach.control_socket.empty()) attach.control_socket = control::path_of(attach.agent.vm);
  attach.agent.wait_for_guest = std::chrono::seconds(options.wait_seconds);
  if (!options.mode.empty()) attach.agent.mode = engine::mode_of(options.mode);
  if (options.shows_command_lines) attach.agent.command_lines = engine::CommandLines::shown;
  attach.limits = {std::chrono::hours(24 * options.event_days),
                   std::int64_t{options.event_mib} << 20};
  return {};
}

int run(Options& options) {
  if (auto prepared = prepare(options); !prepared) return report(prepared.error());
  auto ended = engine::run_opener(std::move(options.attach));
  return ended ? 0 : report(ended.error());
}

}  // namespace

void add_attach_command(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("attach", "filter a VM's packets until stopped; Ctrl-C detaches");
  auto options = std::make_shared<Options>();
  engine::AttachOptions& attach = options->attach;
  command->add_option("--pid", attach.vmm, "process id of the VMM (QEMU, Firecracker, ...)")
      ->required();
  command->add_option("--dev", attach.netdevs,
                      "netdev of the VM; may be repeated (default: all its taps)");
  command->add_option("--rules", options->files.rules,
                      "rule file (default: what was in force the last time)");
  add_names_options(*command, options->files);
  command
      ->add_option("--mode", options->mode,
                   "enforce, or observe: only count and tell (default: as the last time)")
      ->check(CLI::IsMember({"enforce", "observe"}));
  command->add_option("--name", options->name, "the VM's name (default: by its VMM)");
  command
      ->add_option("--events", attach.events,
                   "where verdicts go too, as JSON lines: a file, - or unix:PATH (default: -)")
      ->default_val("-");
  command->add_option("--store", attach.store,
                      "database of rules and events (default: /var/lib/xfilter/NAME.db)");
  command->add_option("--event-days", options->event_days, "how long the store keeps events")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  command->add_option("--event-mib", options->event_mib, "how much of them it keeps")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--socket", attach.control_socket,
                      "control socket (default: /run/xfilter/NAME.sock)");
  command->add_option("--operators", options->operators,
                      "group that may change rules, besides root");
  command->add_option("--readers", options->readers, "group that may read alone");
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
