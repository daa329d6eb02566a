// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/path.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::uint64_t kMostComponents = 512;  // PATH_MAX / 8: longer paths are refused, not cut
constexpr std::size_t kLongestComponent = 255;  // NAME_MAX
constexpr std::size_t kLongestPath = 4096;      // PATH_MAX

Result<std::string> read_component(const View& view, VirtAddr dentry) {
  const auto& layout = view.layout();
  const VirtAddr name = dentry + layout.dentry_d_name.offset;
  XF_TRY(length, view.read<std::uint32_t>(name, layout.qstr_len));
  if (length == 0 || length > kLongestComponent)
    return fail(Errc::guest_data_invalid, "dentry {}: a name of {} bytes", dentry, length);
  XF_TRY(text, view.read_pointer(name, layout.qstr_name));
  std::string component(length, '\0');
  XF_CHECK(view.space().read(text, std::as_writable_bytes(std::span(component))));
  return component;
}

}  // namespace

Result<Path> read_path(const View& view, VirtAddr path, Budget& budget) {
  const auto& layout = view.layout();
  Budget components(kMostComponents);
  XF_TRY(vfsmount, view.read_pointer(path, layout.path_mnt));
  XF_TRY(dentry, view.read_pointer(path, layout.path_dentry));
  VirtAddr mount = vfsmount - layout.mount_mnt.offset;
  // d_unlinked(): look-ups do not find the name any more.
  XF_TRY(hash_pprev, view.space().read_pointer(dentry + layout.dentry_d_hash.offset + 8));
  XF_TRY(first_parent, view.read_pointer(dentry, layout.dentry_d_parent));
  const bool is_deleted = !hash_pprev && first_parent != dentry;
  std::string text;
  while (true) {
    XF_CHECK(components.spend("path"));
    XF_CHECK(budget.spend("path"));
    XF_TRY(mount_root, view.space().read_pointer(mount + layout.mount_mnt.offset +
                                                 layout.vfsmount_mnt_root.offset));
    XF_TRY(parent, view.read_pointer(dentry, layout.dentry_d_parent));
    if (dentry == parent && dentry != mount_root && text.empty()) {
      // Alone in a pseudo file system, like a memfd: it has a name and no place.
      XF_TRY(name, read_component(view, dentry));
      return Path{"/" + name, true};
    }
    if (dentry == mount_root || dentry == parent) {
      XF_TRY(mount_parent, view.read_pointer(mount, layout.mount_mnt_parent));
      if (mount_parent == mount) break;  // the top
      XF_TRY(mountpoint, view.read_pointer(mount, layout.mount_mnt_mountpoint));
      dentry = mountpoint;
      mount = mount_parent;
      continue;
    }
    XF_TRY(component, read_component(view, dentry));
    text.insert(0, "/" + component);
    if (text.size() > kLongestPath)
      return fail(Errc::guest_data_invalid, "dentry {}: a path longer than {} bytes", dentry,
                  kLongestPath);
    dentry = parent;
  }
  return Path{text.empty() ? "/" : text, is_deleted};
}

}  // namespace xfilter::guest::linux
