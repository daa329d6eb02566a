// SPDX-License-Identifier: Apache-2.0
// guest/linux/cgroup.h: the cgroup of a task, and the container that its name tells of.
//
// Of the unified hierarchy (cgroup v2), as all supported distributions have it; under cgroup v1 the
// path is "/". Cost: two reads a component of the path.
#pragma once

#include <string>
#include <string_view>

#include "guest/linux/task.h"

namespace xfilter::guest::linux {

// As /proc/PID/cgroup has it behind "0::" for a reader in the initial cgroup namespace.
Result<std::string> read_cgroup_path(const View& view, const Task& task);

// The container's id, by what container runtimes name cgroups: 64 hexadecimal digits, alone
// (Docker with cgroupfs, Kubernetes) or in a systemd scope ("docker-ID.scope",
// "cri-containerd-ID.scope", "libpod-ID.scope"). For a task with a pid namespace of its own whose
// cgroup is named otherwise (runc by hand), the last component. Empty when it is in no container.
std::string container_of(std::string_view cgroup_path, bool has_own_pid_namespace);

}  // namespace xfilter::guest::linux
