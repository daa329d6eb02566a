// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/task.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace xfilter::guest::linux {
namespace {

constexpr std::uint32_t kPfKthread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h
constexpr std::size_t kCommSize = 16;             // TASK_COMM_LEN
constexpr std::size_t kLongestCmdline = 4096;     // a choice: enough to recognise a program
constexpr std::int32_t kLargestPid = 4 << 20;     // PID_MAX_LIMIT

}  // namespace

Result<Task> read_task(const View& view, VirtAddr at) {
  const auto& layout = view.layout();
  view.prefetch_task(at);
  Task task;
  task.at = at;
  XF_TRY(pid, view.read<std::int32_t>(at, layout.task_pid));
  XF_TRY(tgid, view.read<std::int32_t>(at, layout.task_tgid));
  if (pid < 0 || pid > kLargestPid || tgid < 0 || tgid > kLargestPid)
    return fail(Errc::guest_data_invalid, "task_struct {}: pid {} and tgid {} cannot be", at, pid,
                tgid);
  task.pid = pid;
  task.tgid = tgid;
  XF_TRY(comm, (view.read<std::array<char, kCommSize>>(at, layout.task_comm)));
  task.comm.assign(comm.data(), ::strnlen(comm.data(), comm.size()));
  XF_TRY(start, view.read<std::uint64_t>(at, layout.task_start_boottime));
  task.start_boottime = std::chrono::nanoseconds(static_cast<std::int64_t>(start));
  XF_TRY(flags, view.read<std::uint32_t>(at, layout.task_flags));
  task.is_kernel_thread = (flags & kPfKthread) != 0;
  XF_TRY(mm, view.read_pointer(at, layout.task_mm));
  task.mm = mm;
  XF_TRY(files, view.read_pointer(at, layout.task_files));
  task.files = files;
  XF_TRY(signal, view.read_pointer(at, layout.task_signal));
  task.signal = signal;
  XF_TRY(parent, view.read_pointer(at, layout.task_real_parent));
  task.real_parent = parent;
  XF_TRY(cred, view.read_pointer(at, layout.task_cred));
  task.cred = cred;
  XF_TRY(cgroups, view.read_pointer(at, layout.task_cgroups));
  task.cgroups = cgroups;
  XF_TRY(nsproxy, view.read_pointer(at, layout.task_nsproxy));
  task.nsproxy = nsproxy;
  XF_TRY(thread_pid, view.read_pointer(at, layout.task_thread_pid));
  task.thread_pid = thread_pid;
  return task;
}

Result<Cred> read_cred(const View& view, const Task& task) {
  const auto& layout = view.layout();
  const VirtAddr cred = task.cred;
  XF_TRY(uid, view.read<std::uint32_t>(cred, layout.cred_uid));
  XF_TRY(gid, view.read<std::uint32_t>(cred, layout.cred_gid));
  XF_TRY(euid, view.read<std::uint32_t>(cred, layout.cred_euid));
  XF_TRY(egid, view.read<std::uint32_t>(cred, layout.cred_egid));
  // The cred may have been replaced and freed meanwhile; then what we read belongs to nobody.
  XF_TRY(again, view.read_pointer(task.at, layout.task_cred));
  if (again != cred)
    return fail(Errc::guest_data_invalid, "task_struct {}: cred changed while it was read",
                task.at);
  return Cred{uid, gid, euid, egid};
}

Result<std::int32_t> read_parent_pid(const View& view, const Task& task) {
  return view.read<std::int32_t>(task.real_parent, view.layout().task_tgid);
}

Result<Path> read_exe(const View& view, const Task& task, Budget& budget) {
  if (!task.mm || task.is_kernel_thread) return Path();
  XF_TRY(file, view.read_pointer(task.mm, view.layout().mm_exe_file));
  if (!file) return Path();
  return read_path(view, file + view.layout().file_f_path.offset, budget);
}

Result<std::optional<std::uint32_t>> read_audit_session(const View& view, const Task& task) {
  constexpr std::uint32_t kNone = UINT32_MAX;  // AUDIT_SID_UNSET
  if (!view.layout().task_sessionid) return std::nullopt;
  XF_TRY(session, view.read<std::uint32_t>(task.at, *view.layout().task_sessionid));
  if (session == kNone) return std::nullopt;
  return session;
}

Result<std::vector<std::string>> read_cmdline(const View& view, const Task& task) {
  std::vector<std::string> arguments;
  if (!task.mm || task.is_kernel_thread) return arguments;
  const auto& layout = view.layout();
  XF_TRY(start, view.read_pointer(task.mm, layout.mm_arg_start));
  XF_TRY(end, view.read_pointer(task.mm, layout.mm_arg_end));
  XF_TRY(pgd, view.read_pointer(task.mm, layout.mm_pgd));
  if (end <= start) return arguments;
  XF_TRY(root, view.space().translate(pgd));
  const paging::VirtualMemory user(view.space().physical(), {root.at, view.profile().root.levels});

  std::string text(std::min<std::uint64_t>(end.value - start.value, kLongestCmdline), '\0');
  std::size_t got = 0;
  while (got < text.size()) {  // by page: one that is swapped out ends it
    const std::size_t to_page_end = kPageSize - (start.value + got) % kPageSize;
    const std::size_t part = std::min(to_page_end, text.size() - got);
    if (!user.read(start + got, std::as_writable_bytes(std::span(text.data() + got, part)))) break;
    got += part;
  }
  text.resize(got);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t nul = std::min(text.find('\0', at), text.size());
    arguments.push_back(text.substr(at, nul - at));
    at = nul + 1;
  }
  return arguments;
}

}  // namespace xfilter::guest::linux
