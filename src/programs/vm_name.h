// SPDX-License-Identifier: Apache-2.0
// programs/vm_name.h: what a VM is called, by its VMM's command line.
#pragma once

#include <sys/types.h>

#include <string>

namespace xfilter::programs {

struct VmName {
  std::string name;  // letters, digits, . _ -
  // Tells it apart from others that are called the same: those without a name of their own.
  std::string identity;
};
// QEMU's -name, Firecracker's --id; otherwise pid-PID.
VmName vm_name_of(pid_t vmm);

// As a file's name.
std::string cleaned_name(std::string name);

}  // namespace xfilter::programs
