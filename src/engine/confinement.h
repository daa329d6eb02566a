// SPDX-License-Identifier: Apache-2.0
// engine/confinement.h: giving up everything that a process which reads guests does not need.
//
// After confine() the process has no capabilities, is nobody, cannot gain privileges, and may make
// only the system calls of its role, with the descriptors it already has: it cannot open a file,
// make a socket or a BPF map, attach a program, start a process. A forbidden call kills the process
// (SIGSYS). Runs as an ordinary user too; then only the seccomp filter is new.
#pragma once

#include "base/result.h"

namespace xfilter::engine {

enum class Confinement {
  reader,  // looks into a guest and prints or writes a file it has open
  agent,   // also polls, takes new descriptors from its opener, and updates BPF maps it holds
};

// One way only. host_refused names the step that failed; the caller must then end.
Result<void> confine(Confinement role);

}  // namespace xfilter::engine
