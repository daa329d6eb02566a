// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/vmm_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "guest/memory/process_ram.h"
#include "guest/memory/shared_ram.h"

namespace xfilter::guest::memory {
namespace {

constexpr std::uint64_t kSmallestGuest = 16 << 20;  // a guess: no kernel of today boots in less

Result<Fd> open_proc(pid_t pid, const char* file) {
  const std::string path = fmt::format("/proc/{}/{}", pid, file);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.is_open()) return fd;
  if (errno == ENOENT) return fail(Errc::vmm_not_recognised, "there is no process {}", pid);
  return fail(Errc::host_refused, "{}: {}. Reading a VMM's memory needs root (CAP_SYS_PTRACE)",
              path, std::strerror(errno));
}

Result<std::string> read_proc(pid_t pid, const char* file) {
  XF_TRY(fd, open_proc(pid, file));
  std::string text;
  char chunk[16384];
  for (ssize_t got; (got = ::read(fd.number(), chunk, sizeof chunk)) != 0;) {
    if (got < 0)
      return fail(Errc::host_refused,
                  "/proc/{}/{}: {}. Reading a VMM's memory needs root (CAP_SYS_PTRACE)", pid, file,
                  std::strerror(errno));
    text.append(chunk, static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

std::vector<RamCandidate> ram_candidates(const std::string& maps) {
  std::vector<RamCandidate> candidates;
  std::istringstream lines(maps);
  for (std::string line; std::getline(lines, line);) {
    std::uint64_t begin = 0, end = 0, offset = 0;
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64, &begin, &end, permissions,
                    &offset) != 4)
      continue;
    const bool is_plain_memory =
        permissions[0] == 'r' && permissions[1] == 'w' && permissions[2] == '-';
    const bool is_special =
        line.find("[heap]") != std::string::npos || line.find("[stack") != std::string::npos;
    if (!is_plain_memory || is_special || end < begin + kSmallestGuest) continue;
    RamCandidate candidate;
    candidate.base = begin;
    candidate.size = end - begin;
    candidate.is_shared = permissions[3] == 's';
    candidate.file_offset = candidate.is_shared ? offset : 0;
    candidates.push_back(std::move(candidate));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const RamCandidate& a, const RamCandidate& b) { return a.size > b.size; });
  if (candidates.size() > kMostCandidates) candidates.resize(kMostCandidates);
  return candidates;
}

Result<VmmMemory> open_vmm_memory(pid_t pid) {
  VmmMemory vmm;
  XF_TRY(comm, read_proc(pid, "comm"));
  vmm.program = comm.substr(0, comm.find('\n'));
  XF_TRY(maps, read_proc(pid, "maps"));
  XF_TRY(mem, open_proc(pid, "mem"));
  vmm.mem = std::move(mem);
  XF_TRY(pagemap, open_proc(pid, "pagemap"));
  vmm.pagemap = std::move(pagemap);
  vmm.candidates = ram_candidates(maps);
  if (vmm.candidates.empty())
    return fail(Errc::vmm_not_recognised,
                "process {} ({}) is no VMM: it has no memory mapping of {} MiB or more that could "
                "be a guest's RAM. "
                "Expected the pid of QEMU, Cloud Hypervisor or Firecracker",
                pid, vmm.program, kSmallestGuest >> 20);
  for (RamCandidate& candidate : vmm.candidates) {
    if (!candidate.is_shared) continue;
    const std::string path = fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, candidate.base,
                                         candidate.base + candidate.size);
    candidate.file = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!candidate.file.is_open())
      return fail(Errc::host_refused,
                  "{}: {}. Opening a VMM's shared memory needs root (CAP_SYS_ADMIN)", path,
                  std::strerror(errno));
  }
  return vmm;
}

Result<std::unique_ptr<Ram>> open_ram(VmmMemory& vmm, std::size_t index) {
  RamCandidate& candidate = vmm.candidates.at(index);
  if (!candidate.is_shared)
    return std::make_unique<ProcessRam>(vmm.mem, vmm.pagemap, candidate.base, candidate.size);
  Fd copy(::fcntl(candidate.file.number(), F_DUPFD_CLOEXEC, 0));
  XF_TRY(shared, SharedRam::map(std::move(copy), candidate.file_offset, candidate.size));
  return std::unique_ptr<Ram>(std::move(shared));
}

}  // namespace xfilter::guest::memory
