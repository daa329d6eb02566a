// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/cgroup.h"

#include <algorithm>
#include <cctype>

namespace xfilter::guest::linux {
namespace {

constexpr std::uint64_t kDeepestCgroup = 128;  // a choice; systemd and Kubernetes use about ten
constexpr std::size_t kLongestName = 255;      // NAME_MAX
constexpr std::size_t kLongestPath = 4096;     // PATH_MAX
constexpr std::size_t kIdLength = 64;

bool is_id(std::string_view text) {
  return text.size() == kIdLength && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isxdigit(c) != 0 && std::isupper(c) == 0;
         });
}

// "docker-ID.scope" -> ID, "cri-containerd-ID.scope" -> ID
std::string_view without_scope(std::string_view name) {
  constexpr std::string_view kScope = ".scope";
  if (!name.ends_with(kScope)) return name;
  name.remove_suffix(kScope.size());
  return name.substr(name.rfind('-') + 1);
}

}  // namespace

Result<std::string> read_cgroup_path(const View& view, const Task& task) {
  const auto& layout = view.layout();
  const auto& parent_member =
      layout.kernfs_node_parent ? layout.kernfs_node_parent : layout.kernfs_node_parent_rcu;
  if (!parent_member)
    return fail(Errc::profile_lacks_member,
                "the guest kernel's BTF has neither kernfs_node.parent nor kernfs_node.__parent");
  XF_TRY(cgroup, view.read_pointer(task.cgroups, layout.css_set_dfl_cgrp));
  XF_TRY(node, view.read_pointer(cgroup, layout.cgroup_kn));
  Budget budget(kDeepestCgroup);
  std::string path;
  while (true) {
    XF_CHECK(budget.spend("cgroup path"));
    XF_TRY(parent, view.read_pointer(node, *parent_member));
    if (!parent) break;  // the root has no name
    XF_TRY(name_at, view.read_pointer(node, layout.kernfs_node_name));
    XF_TRY(name, view.space().read_string(name_at, kLongestName));
    path.insert(0, "/" + name);
    if (path.size() > kLongestPath)
      return fail(Errc::guest_data_invalid, "kernfs_node {}: a path longer than {} bytes", node,
                  kLongestPath);
    node = parent;
  }
  return path.empty() ? "/" : path;
}

std::string container_of(std::string_view path, bool has_own_pid_namespace) {
  // The outermost one counts: what runs in a container can make groups of any name below its own.
  for (std::string_view rest = path; !rest.empty();) {
    rest.remove_prefix(1);  // the slash
    const auto end = std::min(rest.find('/'), rest.size());
    const std::string_view id = without_scope(rest.substr(0, end));
    if (is_id(id)) return std::string(id);
    rest.remove_prefix(end);
  }
  if (!has_own_pid_namespace || path.size() <= 1) return {};
  return std::string(without_scope(path.substr(path.rfind('/') + 1)));
}

}  // namespace xfilter::guest::linux
