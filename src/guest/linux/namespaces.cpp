// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/namespaces.h"

#include <algorithm>

namespace xfilter::guest::linux {
namespace {

constexpr std::size_t kUtsLength = 65;              // __NEW_UTS_LEN + 1
constexpr std::uint32_t kDeepestPidNamespace = 32;  // MAX_PID_NS_LEVEL
constexpr std::uint64_t kPidTypeSid = 3;            // enum pid_type, include/linux/pid_types.h

Result<std::int32_t> read_number(const View& view, VirtAddr pid, std::uint32_t level) {
  const auto& layout = view.layout();
  const VirtAddr upid = pid + layout.pid_numbers.offset + std::uint64_t{level} * layout.upid_size;
  return view.read<std::int32_t>(upid, layout.upid_nr);
}

}  // namespace

Result<Namespaces> read_namespaces(const View& view, const Task& task) {
  const auto& layout = view.layout();
  if (!task.nsproxy)
    return fail(Errc::guest_data_invalid, "task_struct {}: no nsproxy: it is ending", task.at);
  Namespaces found;
  XF_TRY(net, view.read_pointer(task.nsproxy, layout.nsproxy_net));
  found.net = net;
  XF_TRY(inum, view.read<std::uint32_t>(net, layout.net_inum));
  found.net_inum = inum;
  XF_TRY(mnt, view.read_pointer(task.nsproxy, layout.nsproxy_mnt));
  found.mnt = mnt;
  XF_TRY(uts, view.read_pointer(task.nsproxy, layout.nsproxy_uts));
  XF_TRY(hostname, view.space().read_string(uts + layout.uts_nodename.offset, kUtsLength));
  found.hostname = std::move(hostname);
  return found;
}

Result<std::vector<std::int32_t>> read_ns_pids(const View& view, const Task& task) {
  if (!task.thread_pid)
    return fail(Errc::guest_data_invalid, "task_struct {}: no struct pid: it has ended", task.at);
  XF_TRY(level, view.read<std::uint32_t>(task.thread_pid, view.layout().pid_level));
  if (level > kDeepestPidNamespace)
    return fail(Errc::guest_data_invalid, "pid {}: level {}, more than {}", task.thread_pid, level,
                kDeepestPidNamespace);
  std::vector<std::int32_t> numbers;
  for (std::uint32_t i = 0; i <= level; ++i) {
    XF_TRY(number, read_number(view, task.thread_pid, i));
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::int32_t> read_session(const View& view, const Task& task) {
  XF_TRY(sid, view.space().read_pointer(task.signal + view.layout().signal_pids.offset +
                                        kPidTypeSid * sizeof(std::uint64_t)));
  if (!sid) return 0;
  return read_number(view, sid, 0);
}

Result<std::optional<std::string>> read_boot_id(const View& view) {
  XF_TRY(at, view.profile().symbols.need("sysctl_bootid"));
  XF_TRY(bytes, (view.space().read_value<std::array<std::uint8_t, 16>>(at)));
  if (std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; }))
    return std::nullopt;
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text;
}

}  // namespace xfilter::guest::linux
