// SPDX-License-Identifier: Apache-2.0
#include "programs/vm_name.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

namespace xfilter::programs {
namespace {

std::vector<std::string> arguments_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/cmdline", process), std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// Field 22 of proc(5)'s stat: a pid alone is not an identity.
std::string start_time_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  return at == std::string::npos ? "" : text.substr(at + 1, text.find(' ', at + 1) - at - 1);
}

// qemu(1): -name [guest=]NAME[,process=NAME][,debug-threads=on]
std::string guest_of(std::string_view option) {
  if (option.starts_with("guest=")) option.remove_prefix(6);
  const auto guest = option.find(",guest=");
  if (guest != std::string_view::npos) option.remove_prefix(guest + 7);
  return std::string(option.substr(0, option.find(',')));
}

}  // namespace

std::string cleaned_name(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') c = '_';
  if (!name.empty() && name.front() == '.') name.front() = '_';
  return name.substr(0, 64);
}

VmName vm_name_of(pid_t vmm) {
  const auto arguments = arguments_of(vmm);
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    std::string name;
    if (arguments[i] == "-name" || arguments[i] == "--name") name = guest_of(arguments[i + 1]);
    if (arguments[i] == "--id") name = arguments[i + 1];
    if (name = cleaned_name(name); !name.empty()) return {name, name};
  }
  return {fmt::format("pid-{}", vmm), fmt::format("pid {} started {}", vmm, start_time_of(vmm))};
}

}  // namespace xfilter::programs
