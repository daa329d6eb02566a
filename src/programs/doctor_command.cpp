// SPDX-License-Identifier: Apache-2.0
#include "programs/doctor_command.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "datapath/attachment.h"
#include "datapath/netdev.h"
#include "engine/confinement.h"
#include "engine/guest.h"
#include "programs/table.h"

namespace xfilter::programs {
namespace {

struct Check {
  std::string name;
  bool is_ok = false;
  std::string found;
  std::string advice;  // when not ok
};

template <class T>
Check check_of(const std::string& name, const Result<T>& result, std::string found,
               std::string advice) {
  if (result) return {name, true, std::move(found), ""};
  return {name, false, result.error().message, std::move(advice)};
}

Check check_root() {
  const bool is_root = ::geteuid() == 0;
  return {"privileges", is_root, is_root ? "root" : fmt::format("user {}", ::geteuid()),
          "run as root; attach gives up what it does not need by itself"};
}

Check check_kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  const bool is_parsed = std::sscanf(name.release, "%d.%d", &major, &minor) == 2;
  const bool is_new = is_parsed && (major > 6 || (major == 6 && minor >= 1));
  return {"host kernel", is_new, name.release,
          "xFilter's datapath is made for Linux 6.1 and newer"};
}

Check check_tun() {
  const Fd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  return {"tun device", tun.is_open(), tun.is_open() ? "/dev/net/tun" : std::strerror(errno),
          "load the tun module: modprobe tun"};
}

Check check_programs() {
  return check_of("eBPF", datapath::try_programs(), "the programs load",
                  "needs CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_INGRESS and root");
}

const char* meaning(datapath::IngressQdisc qdisc) {
  switch (qdisc) {
    case datapath::IngressQdisc::none:
      return "no ingress qdisc yet";
    case datapath::IngressQdisc::clsact:
      return "beside the filters of its clsact qdisc";
    case datapath::IngressQdisc::ingress:
      return "beside the filters of its ingress qdisc";
  }
  return "";
}

void check_netdevs(pid_t pid, std::vector<Check>& checks) {
  const auto netdevs = datapath::find_netdevs(pid, {});
  if (!netdevs) {
    checks.push_back(
        check_of("netdevs", netdevs, "", "give --dev to attach, or connect the VM by a tap"));
    return;
  }
  for (const auto& netdev : *netdevs) {
    Result<datapath::IngressQdisc> qdisc = datapath::IngressQdisc::none;
    if (auto entered = datapath::enter_netns(netdev.netns); !entered)
      qdisc = fail(entered.error());
    else
      qdisc = datapath::ingress_qdisc_of(static_cast<int>(::if_nametoindex(netdev.name.c_str())));
    checks.push_back(
        check_of("netdev " + netdev.name, qdisc, qdisc ? meaning(*qdisc) : "", "see the message"));
  }
}

// The guest is read last, and by a process that has given everything up.
void check_guest(Result<guest::memory::VmmMemory> vmm, std::vector<Check>& checks) {
  checks.push_back(check_of(
      "VMM memory", vmm,
      vmm ? fmt::format("{} of {} MiB, {}", vmm->program, vmm->candidates.front().size >> 20,
                        vmm->candidates.front().is_shared ? "shared" : "private")
          : "",
      "give the pid of the VMM process itself, as root"));
  if (!vmm) return;
  auto guest = engine::Guest::of_vmm(std::move(*vmm));
  if (auto confined = engine::confine(engine::Confinement::reader); !confined) {
    checks.push_back(check_of("confinement", confined, "", "needs seccomp in the host's kernel"));
    return;
  }
  const auto found = guest->find();
  const std::string banner = found ? guest->view().profile().banner : "";
  checks.push_back(check_of(
      "guest kernel", found, banner.substr(0, banner.find(" (")),
      "a guest that boots needs a moment (attach --wait); others: see Limits in the README"));
  if (!found) return;
  const auto& profile = guest->view().profile();
  checks.push_back(
      {"guest layout", true,
       fmt::format("{}-level paging, RAM ends at {} MiB, {} symbols and all members found",
                   static_cast<int>(profile.image.levels), profile.ram_end >> 20,
                   profile.symbols.size()),
       ""});
}

int run(pid_t pid, bool as_json) {
  std::vector<Check> checks = {check_root(), check_kernel(), check_tun(), check_programs()};
  if (pid != 0) {
    auto vmm = guest::memory::open_vmm_memory(pid);
    check_netdevs(pid, checks);
    check_guest(std::move(vmm), checks);
  }
  const bool is_healthy =
      std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.is_ok; });
  if (as_json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Check& check : checks)
      list.push_back({{"check", check.name},
                      {"ok", check.is_ok},
                      {"found", check.found},
                      {"advice", check.is_ok ? "" : check.advice}});
    fmt::print("{}\n", nlohmann::json{{"ok", is_healthy}, {"checks", list}}.dump(2));
    return is_healthy ? 0 : 1;
  }
  std::vector<std::vector<std::string>> rows = {{"CHECK", "", "FOUND"}};
  for (const Check& check : checks)
    rows.push_back({check.name, check.is_ok ? "ok" : "FAIL", check.found});
  print_table(rows);
  for (const Check& check : checks)
    if (!check.is_ok) fmt::print("\n{}: {}\n  do: {}\n", check.name, check.found, check.advice);
  return is_healthy ? 0 : 1;
}

}  // namespace

void add_doctor_command(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("doctor", "can this host, and this guest, be filtered?");
  auto pid = std::make_shared<pid_t>(0);
  auto as_json = std::make_shared<bool>(false);
  command->add_option("--pid", *pid, "process id of the VMM, to check its VM too");
  command->add_flag("--json", *as_json, "print JSON in place of a table");
  command->callback([=, &exit_code] { exit_code = run(*pid, *as_json); });
}

}  // namespace xfilter::programs
