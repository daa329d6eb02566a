// SPDX-License-Identifier: Apache-2.0
#include "programs/vm_option.h"

#include "control/address.h"

namespace xfilter::programs {

void add_vm_option(CLI::App& command, std::string& vm) {
  command.add_option("--vm", vm,
                     "name of the VM, or path of its control socket (default: the only one)");
}

Result<control::Client> connect_to(const std::string& vm) {
  if (vm.find('/') != std::string::npos) return control::Client::connect(vm);
  if (!vm.empty()) return control::Client::connect(control::path_of(vm));
  const auto names = control::all_names();
  if (names.size() == 1) return control::Client::connect(control::path_of(names.front()));
  if (names.empty())
    return fail(Errc::host_refused,
                "no VM is filtered: {} has no control socket. Start `xfilter "
                "attach` first",
                control::kFolder);
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return fail(Errc::input_invalid, "which VM? Give --vm NAME, one of {}", all);
}

Result<nlohmann::json> ask(const std::string& vm, const nlohmann::json& request) {
  XF_TRY(client, connect_to(vm));
  return client.ask(request);
}

}  // namespace xfilter::programs
