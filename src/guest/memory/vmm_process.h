// SPDX-License-Identifier: Apache-2.0
// guest/memory/vmm_process.h: the host's side of guest memory: which mappings of a VMM process may
// be its guest's RAM, opened for reading.
//
// This is all that needs privileges, and it parses nothing that a guest wrote. Which candidate is
// RAM is for the reader to prove (guest/kernel finds a kernel in it or not).
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

struct RamCandidate {
  std::uint64_t base = 0;  // address in the VMM
  std::uint64_t size = 0;
  bool is_shared = false;  // share=on: then it is mapped, otherwise read through /proc/PID/mem
  Fd file;                 // what a shared mapping maps; closed for private memory
  std::uint64_t file_offset = 0;  // of `base` in `file`
};

struct VmmMemory {
  std::string program;                   // of the process, as in /proc/PID/comm; chosen by the host
  Fd mem;                                // /proc/PID/mem, read only
  Fd pagemap;                            // /proc/PID/pagemap, read only
  std::vector<RamCandidate> candidates;  // largest first, at most kMostCandidates
};

inline constexpr std::size_t kMostCandidates = 4;

// vmm_not_recognised when the process has nothing that could be guest RAM; host_refused with the
// way out when we may not look.
Result<VmmMemory> open_vmm_memory(pid_t pid);

// What a reader uses. `vmm` must outlive the result.
Result<std::unique_ptr<Ram>> open_ram(VmmMemory& vmm, std::size_t candidate);

// The candidates that the text of /proc/PID/maps names, without their files. Exposed for tests.
std::vector<RamCandidate> ram_candidates(const std::string& maps);

}  // namespace xfilter::guest::memory
