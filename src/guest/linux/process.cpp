// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/process.h"

#include "guest/linux/cgroup.h"
#include "guest/linux/namespaces.h"
#include "guest/linux/pid_table.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::size_t kMostAncestors = 64;  // a choice; login to shell to program is about eight

Result<model::Ancestor> read_ancestor(const View& view, const Task& leader, Budget& budget) {
  XF_TRY(exe, read_exe(view, leader, budget));
  return model::Ancestor{{leader.pid, leader.start_boottime}, leader.comm, std::move(exe.text)};
}

Result<std::vector<model::Ancestor>> read_parents(const View& view, const Task& leader,
                                                  Budget& budget) {
  std::vector<model::Ancestor> parents;
  VirtAddr parent = leader.real_parent;
  while (parents.size() < kMostAncestors) {
    XF_CHECK(budget.spend("parents"));
    // The thread that forked; the process is its leader's.
    XF_TRY(at, view.read_pointer(parent, view.layout().task_group_leader));
    XF_TRY(task, read_task(view, at));
    if (task.pid == 0) break;  // the idle task
    XF_TRY(ancestor, read_ancestor(view, task, budget));
    parents.push_back(std::move(ancestor));
    parent = task.real_parent;
  }
  return parents;
}

}  // namespace

Result<model::Process> read_process(const View& view, const Task& leader, Budget& budget) {
  model::Process process;
  process.id = {leader.pid, leader.start_boottime};
  process.comm = leader.comm;
  XF_TRY(cred, read_cred(view, leader));
  process.uid = cred.euid;
  process.gid = cred.egid;
  process.real_uid = cred.uid;
  process.real_gid = cred.gid;
  XF_TRY(parents, read_parents(view, leader, budget));
  process.parents = std::move(parents);
  XF_TRY(exe, read_exe(view, leader, budget));
  process.exe = std::move(exe.text);
  process.exe_is_deleted = exe.is_deleted;
  XF_TRY(cmdline, read_cmdline(view, leader));
  process.cmdline = std::move(cmdline);
  XF_TRY(audit_session, read_audit_session(view, leader));
  process.audit_session = audit_session;
  if (const auto session = read_session(view, leader)) process.session = *session;
  if (const auto pids = read_ns_pids(view, leader)) {
    process.ns_pid = pids->back();
    if (auto cgroup = read_cgroup_path(view, leader)) {
      process.container = container_of(*cgroup, pids->size() > 1);
      process.cgroup = std::move(*cgroup);
    }
  }
  if (auto namespaces = read_namespaces(view, leader)) {
    process.netns = namespaces->net_inum;
    process.hostname = std::move(namespaces->hostname);
  }
  XF_TRY(hidden, is_hidden(view, leader));
  process.is_hidden = hidden;

  XF_TRY(now, read_task(view, leader.at));
  if (now != leader)
    return fail(Errc::guest_data_invalid, "task_struct {}: the process changed while it was read",
                leader.at);
  return process;
}

}  // namespace xfilter::guest::linux
