// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/pid_table.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::uint64_t kSlots = 64;       // XA_CHUNK_SIZE
constexpr unsigned kBitsPerLevel = 6;      // XA_CHUNK_SHIFT
constexpr std::uint64_t kListNode = 16;    // sizeof(struct list_head), sizeof(struct hlist_node)
constexpr std::uint64_t kPidTypeTgid = 1;  // enum pid_type

// An entry of the tree is a pointer to a struct pid, or to a node and then tagged with 2.
bool is_node(std::uint64_t entry) {
  return (entry & 3) == 2 && entry > kPageSize;
}
bool is_pid(std::uint64_t entry) {
  return entry != 0 && (entry & 3) == 0;
}

Result<VirtAddr> root_of(const View& view) {
  XF_TRY(init_pid_ns, view.profile().symbols.need("init_pid_ns"));
  return view.read_pointer(init_pid_ns, view.layout().pid_namespace_tree);
}

struct Node {
  VirtAddr at;
  unsigned shift = 0;
};

Result<Node> read_node(const View& view, std::uint64_t entry, unsigned most_shift) {
  const VirtAddr at{entry - 2};
  XF_TRY(shift, view.read<std::uint8_t>(at, view.layout().xa_node_shift));
  if (shift > most_shift || shift % kBitsPerLevel != 0)
    return fail(Errc::guest_data_invalid, "xa_node {}: shift {}, expected at most {}", at, shift,
                most_shift);
  return Node{at, shift};
}

Result<std::uint64_t> read_slot(const View& view, const Node& node, std::uint64_t slot) {
  return view.space().read_value<std::uint64_t>(node.at + view.layout().xa_node_slots.offset +
                                                slot * sizeof(std::uint64_t));
}

// The leader of the thread group that a struct pid names; none when it names only a thread, a
// session or nobody any more.
Result<VirtAddr> leader_of(const View& view, VirtAddr pid) {
  const auto& layout = view.layout();
  XF_TRY(link, view.space().read_pointer(pid + layout.pid_tasks.offset + kPidTypeTgid * 8));
  if (!link) return VirtAddr{};
  return link - (layout.task_pid_links.offset + kPidTypeTgid * kListNode);
}

constexpr unsigned kMostShift = 18;  // four levels hold PID_MAX_LIMIT

Result<void> walk_node(const View& view, std::uint64_t entry, unsigned most_shift, Budget& budget,
                       std::vector<VirtAddr>& leaders) {
  XF_TRY(node, read_node(view, entry, most_shift));
  for (std::uint64_t i = 0; i < kSlots; ++i) {
    XF_CHECK(budget.spend("table of pids"));
    XF_TRY(slot, read_slot(view, node, i));
    if (node.shift > 0 && is_node(slot)) {
      // A lower node has a smaller shift, so this ends.
      XF_CHECK(walk_node(view, slot, node.shift - kBitsPerLevel, budget, leaders));
    } else if (is_pid(slot)) {
      auto leader = leader_of(view, VirtAddr{slot});
      if (leader && *leader) leaders.push_back(*leader);
    }
  }
  return {};
}

}  // namespace

Result<VirtAddr> find_by_pid(const View& view, std::int32_t pid) {
  XF_TRY(root, root_of(view));
  const auto index = static_cast<std::uint64_t>(pid);
  std::uint64_t entry = root.value;
  unsigned most_shift = kMostShift;
  while (is_node(entry)) {
    XF_TRY(node, read_node(view, entry, most_shift));
    if (index >> node.shift >= kSlots && entry == root.value) return VirtAddr{};
    XF_TRY(slot, read_slot(view, node, index >> node.shift & (kSlots - 1)));
    entry = slot;
    if (node.shift == 0) break;
    most_shift = node.shift - kBitsPerLevel;
  }
  if (!is_pid(entry)) return VirtAddr{};
  return leader_of(view, VirtAddr{entry});
}

Result<std::vector<VirtAddr>> walk_pid_table(const View& view, Budget& budget) {
  XF_TRY(root, root_of(view));
  std::vector<VirtAddr> leaders;
  if (is_node(root.value)) XF_CHECK(walk_node(view, root.value, kMostShift, budget, leaders));
  return leaders;
}

namespace {

constexpr int kLooks =
    3;  // each goes wrong when its neighbour in the list changes within some reads

Result<bool> is_in_both(const View& view, const Task& leader) {
  const VirtAddr links = leader.at + view.layout().task_tasks.offset;
  XF_TRY(next, view.space().read_pointer(links));
  XF_TRY(previous, view.space().read_pointer(links + 8));
  // Links of a task that was taken out of the list lead nowhere (LIST_POISON), or past it.
  const auto back = view.space().read_pointer(next + 8);
  const auto forth = view.space().read_pointer(previous);
  const bool is_listed = back && forth && *back == links && *forth == links && next != links;
  XF_TRY(by_pid, find_by_pid(view, leader.pid));
  return is_listed && by_pid == leader.at;
}

}  // namespace

Result<bool> is_hidden(const View& view, const Task& leader) {
  for (int look = 0; look < kLooks; ++look) {
    // Pages that were read at different moments contradict each other without anybody's doing.
    if (look > 0) view.space().physical().ram().begin_lookup();
    XF_TRY(is_there, is_in_both(view, leader));
    if (is_there) return false;
  }
  // It may just have ended: then it is not hidden but gone.
  XF_TRY(now, read_task(view, leader.at));
  return now == leader && static_cast<bool>(now.thread_pid);
}

}  // namespace xfilter::guest::linux
