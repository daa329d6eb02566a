// SPDX-License-Identifier: Apache-2.0
// Readers that follow a guest's pointers, on graphs of every shape: rings, lassos, wild ends.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "guest/linux/files.h"
#include "guest/linux/path.h"
#include "tests/support/synthetic_guest.h"

namespace xfilter::guest::linux {
namespace {

using support::SyntheticGuest;

constexpr std::size_t kRam = 16 * kPageSize;

// Lists: nodes of 16 bytes from kNodes on, the head first.
constexpr std::size_t kNodes = 0x100;
VirtAddr node(std::size_t i) {
  return SyntheticGuest::at(kNodes + i * 16);
}

RC_GTEST_PROP(WalkList, a_ring_is_visited_once_around_in_its_order, ()) {
  const auto count = *rc::gen::inRange<std::size_t>(0, 200);
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i + 1;
  std::shuffle(order.begin(), order.end(), std::mt19937(*rc::gen::arbitrary<unsigned>()));
  SyntheticGuest guest(kRam);
  std::size_t last = 0;
  for (const std::size_t next : order) {
    guest.write(node(last), node(next));
    last = next;
  }
  guest.write(node(last), node(0));

  std::vector<VirtAddr> expected, seen;
  for (const std::size_t i : order) expected.push_back(node(i) - 8);
  Budget budget(count);
  const auto walked =
      walk_list(guest.view(), node(0), {8, 16}, budget, "ring", [&](VirtAddr at) -> Result<void> {
        seen.push_back(at);
        return {};
      });
  RC_ASSERT(walked.has_value());
  RC_ASSERT(seen == expected);
}

RC_GTEST_PROP(WalkList, any_graph_ends_and_only_a_ring_ends_well, ()) {
  const auto count = *rc::gen::inRange<std::size_t>(1, 50);
  SyntheticGuest guest(kRam);
  for (std::size_t i = 0; i < count; ++i) {
    const auto wild = *rc::gen::arbitrary<std::uint64_t>();
    const bool is_wild = *rc::gen::inRange(0, 50) == 0;
    const auto next = is_wild ? VirtAddr{wild} : node(*rc::gen::inRange<std::size_t>(0, count));
    guest.write(node(i), next);
  }
  std::vector<std::uint64_t> seen;
  Budget budget(1'000'000);
  const auto walked =
      walk_list(guest.view(), node(0), {0, 16}, budget, "graph", [&](VirtAddr at) -> Result<void> {
        seen.push_back(at.value);
        return {};
      });
  RC_ASSERT(seen.size() <= 3 * (count + 1));  // circles are noticed long before the budget's end
  const bool is_each_once = std::set(seen.begin(), seen.end()).size() == seen.size();
  if (walked) RC_ASSERT(is_each_once);
  if (!is_each_once) RC_ASSERT(walked.error().code == Errc::budget_exhausted);
}

// Paths: small dentries and mounts, and names of 300 bytes.
constexpr std::size_t kDentries = 0x1000, kMounts = 0x4000, kNames = 0x5000, kPath = 0x100;
constexpr std::size_t kCount = 32, kDentrySize = 0x30, kMountSize = 0x20, kNameSize = 0x140;
VirtAddr dentry(std::size_t i) {
  return SyntheticGuest::at(kDentries + i * kDentrySize);
}
VirtAddr mount(std::size_t i) {
  return SyntheticGuest::at(kMounts + i * kMountSize);
}

class PathGuest : public SyntheticGuest {
 public:
  PathGuest() : SyntheticGuest(kRam) {
    layout().path_mnt = {0, 8};
    layout().path_dentry = {8, 8};
    layout().dentry_d_parent = {0, 8};
    layout().dentry_d_name = {8, 16};
    layout().dentry_d_hash = {24, 16};
    layout().qstr_len = {0, 4};
    layout().qstr_name = {8, 8};
    layout().mount_mnt_parent = {0, 8};
    layout().mount_mnt_mountpoint = {8, 8};
    layout().mount_mnt = {16, 8};
    layout().vfsmount_mnt_root = {0, 8};
  }
  void write_path(VirtAddr of_mount, VirtAddr of_dentry) {
    write(at(kPath), of_mount + layout().mount_mnt.offset);
    write(at(kPath + 8), of_dentry);
  }
  void write_dentry(std::size_t i, VirtAddr parent, const std::string& name) {
    write_dentry(i, parent, static_cast<std::uint32_t>(name.size()));
    for (std::size_t j = 0; j < name.size(); ++j) write(name_at(i) + j, name[j]);
  }
  void write_dentry(std::size_t i, VirtAddr parent, std::uint32_t name_length) {
    write(dentry(i), parent);
    write(dentry(i) + 8, name_length);
    write(dentry(i) + 16, name_at(i));
    write(dentry(i) + 32, dentry(i));  // is hashed: not deleted
  }
  void write_mount(std::size_t i, VirtAddr parent, VirtAddr mountpoint, VirtAddr root) {
    write(mount(i), parent);
    write(mount(i) + 8, mountpoint);
    write(mount(i) + 16, root);
  }

 private:
  static VirtAddr name_at(std::size_t i) { return at(kNames + i * kNameSize); }
};

RC_GTEST_PROP(ReadPath, a_path_through_mounts_is_its_names_joined, ()) {
  PathGuest guest;
  // Dentry 0 is the root of everything; each next one is below the last, or the root of a mount.
  const auto depth = *rc::gen::inRange<std::size_t>(0, kCount - 1);
  guest.write_dentry(0, dentry(0), "/");
  guest.write_mount(0, mount(0), dentry(0), dentry(0));
  std::size_t mounts = 1;
  std::string expected;
  for (std::size_t i = 1; i <= depth; ++i) {
    if (*rc::gen::inRange(0, 4) == 0) {
      guest.write_dentry(i, dentry(i), "/");
      guest.write_mount(mounts, mount(mounts - 1), dentry(i - 1), dentry(i));
      ++mounts;
      continue;
    }
    const auto name = *rc::gen::container<std::string>(*rc::gen::inRange<std::size_t>(1, 100),
                                                       rc::gen::inRange('a', 'z'));
    guest.write_dentry(i, dentry(i - 1), name);
    expected += "/" + name;
  }
  guest.write_path(mount(mounts - 1), dentry(depth));
  Budget budget(1'000);
  const auto path = read_path(guest.view(), SyntheticGuest::at(kPath), budget);
  RC_ASSERT(path.has_value());
  RC_ASSERT(path->text == (expected.empty() ? "/" : expected));
  RC_ASSERT(!path->is_deleted);
}

RC_GTEST_PROP(ReadPath, any_graph_of_dentries_and_mounts_ends_within_path_max, ()) {
  PathGuest guest;
  const auto any = [](VirtAddr (*object)(std::size_t)) {
    if (*rc::gen::inRange(0, 60) == 0) return VirtAddr{*rc::gen::arbitrary<std::uint64_t>()};
    return object(*rc::gen::inRange<std::size_t>(0, kCount));
  };
  for (std::size_t i = 0; i < kCount; ++i) {
    guest.write_dentry(i, any(dentry), *rc::gen::inRange<std::uint32_t>(0, 260));
    guest.write_mount(i, any(mount), any(dentry), any(dentry));
  }
  guest.write_path(mount(0), dentry(0));
  Budget budget(1'000);
  const auto path = read_path(guest.view(), SyntheticGuest::at(kPath), budget);
  RC_ASSERT(guest.ram.reads() <= 512u * 6 + 4);
  if (path) RC_ASSERT(path->text.size() <= 4096u && path->text.front() == '/');
}

// A descriptor table: files_struct, fdtable and slots wherever their pointers say.
RC_GTEST_PROP(ReadDescriptors, a_table_of_any_size_is_read_whole_or_refused, ()) {
  SyntheticGuest guest(kRam);
  guest.layout().files_fdt = {0, 8};
  guest.layout().fdtable_max_fds = {0, 4};
  guest.layout().fdtable_fd = {8, 8};
  const auto slots = SyntheticGuest::at(*rc::gen::inRange<std::size_t>(0x200, 2 * kRam));
  const auto count = *rc::gen::oneOf(rc::gen::inRange<std::uint32_t>(0, kRam / 8),
                                     rc::gen::arbitrary<std::uint32_t>(),
                                     rc::gen::element(kMostDescriptors, kMostDescriptors + 1));
  const VirtAddr files = SyntheticGuest::at(0x100), table = SyntheticGuest::at(0x110);
  guest.write(files, table);
  guest.write(table, count);
  guest.write(table + 8, slots);
  Budget budget(10'000);
  const auto read = read_descriptors(guest.view(), files, budget);
  const std::uint64_t room =
      SyntheticGuest::at(kRam) > slots ? SyntheticGuest::at(kRam).value - slots.value : 0;
  RC_ASSERT(read.has_value() == (count == 0 || std::uint64_t{count} * 8 <= room));
  if (read) RC_ASSERT(read->size() == count);
  RC_ASSERT(budget.spent() <= 1u + kMostDescriptors * 8 / kPageSize);
}

}  // namespace
}  // namespace xfilter::guest::linux
