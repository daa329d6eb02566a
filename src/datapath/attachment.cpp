// SPDX-License-Identifier: Apache-2.0
#include "datapath/attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "bpf/shared.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "bpf/xfilter.skel.h"
#pragma GCC diagnostic pop

namespace xfilter::datapath {
namespace {

constexpr std::uint32_t kFirstGeneration = 1;

Fd duplicate(int fd) {
  return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

// An abstract socket belongs to the network namespace, as the netdev does, and goes with its
// process: no file is left behind, whatever happens.
Result<Fd> lock_netdev(const std::string& netdev, int ifindex) {
  Fd lock(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("xfilter/{}", ifindex);
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(lock.number(), reinterpret_cast<sockaddr*>(&address), length) == 0) return lock;
  if (errno == EADDRINUSE)
    return fail(Errc::already_attached,
                "{}: another xfilter is attached to it and alive. Stop that one first (Ctrl-C or "
                "SIGINT detaches it)",
                netdev);
  return fail(Errc::host_refused, "{}: cannot take the lock: {}", netdev, std::strerror(errno));
}

std::uint64_t boottime_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Fd find_map(const bpf_prog_info& program, const std::string& name) {
  const auto* ids = reinterpret_cast<const std::uint32_t*>(program.map_ids);
  for (std::uint32_t i = 0; i < program.nr_map_ids; ++i) {
    Fd map(bpf_map_get_fd_by_id(ids[i]));
    bpf_map_info info{};
    std::uint32_t size = sizeof info;
    if (map.is_open() && bpf_obj_get_info_by_fd(map.number(), &info, &size) == 0 &&
        name == info.name)
      return map;
  }
  return Fd();
}

struct Inheritance {
  std::size_t drops = 0;
  bool created_qdisc = false;
};

// Copies what a dead predecessor left: its drops still hold until we have taken its place.
Result<Inheritance> inherit(int ifindex, int drops) {
  Inheritance inheritance;
  XF_TRY(program_id, find_program(ifindex, "xf_entry"));
  if (!program_id) return inheritance;
  const Fd program(bpf_prog_get_fd_by_id(*program_id));
  std::array<std::uint32_t, 16> map_ids{};
  bpf_prog_info info{};
  info.nr_map_ids = map_ids.size();
  info.map_ids = reinterpret_cast<std::uint64_t>(map_ids.data());
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program.number(), &info, &size) != 0) return inheritance;

  const std::uint32_t zero = 0;
  xf_agent old_agent{};
  if (const Fd map = find_map(info, "agent"); map.is_open())
    bpf_map_lookup_elem(map.number(), &zero, &old_agent);

  inheritance.created_qdisc = old_agent.created_qdisc != 0;

  const Fd old_drops = find_map(info, "drops");
  if (!old_drops.is_open()) return inheritance;
  const std::uint64_t until =
      boottime_ns() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kInheritedDrops).count());
  xf_flow flow{}, next{};
  for (int error = bpf_map_get_next_key(old_drops.number(), nullptr, &next); error == 0;
       error = bpf_map_get_next_key(old_drops.number(), &flow, &next)) {
    flow = next;
    xf_drop drop{};
    if (bpf_map_lookup_elem(old_drops.number(), &flow, &drop) != 0 ||
        drop.generation != old_agent.generation)
      continue;
    drop.judge_again_ns = until;
    drop.generation = kFirstGeneration;
    if (bpf_map_update_elem(drops, &flow, &drop, BPF_ANY) == 0) ++inheritance.drops;
  }
  return inheritance;
}

using Object = std::unique_ptr<xfilter_bpf, decltype(&xfilter_bpf__destroy)>;

int keep_quiet(libbpf_print_level, const char*, va_list) {
  return 0;
}

Result<Object> load(int vm_ifindex, int punt_ifindex) {
  libbpf_set_print(keep_quiet);
  Object object(xfilter_bpf__open(), &xfilter_bpf__destroy);
  if (!object)
    return fail(Errc::host_refused, "cannot open the eBPF object: {}", std::strerror(errno));
  std::uint32_t mark = 0;
  while (mark == 0)
    if (::getrandom(&mark, sizeof mark, 0) != sizeof mark)
      return fail(Errc::host_refused, "getrandom: {}", std::strerror(errno));
  object->rodata->vm_ifindex = static_cast<std::uint32_t>(vm_ifindex);
  object->rodata->punt_ifindex = static_cast<std::uint32_t>(punt_ifindex);
  object->rodata->release_mark = mark;
  object->rodata->held_limit = kPuntQueueLength;
  if (const int error = xfilter_bpf__load(object.get()); error != 0)
    return fail(Errc::host_refused,
                "the kernel refuses the eBPF programs: {}. Needs root (CAP_BPF, CAP_NET_ADMIN) and "
                "a kernel of 6.1 or "
                "newer; `xfilter doctor` tells more",
                std::strerror(-error));
  return object;
}

}  // namespace

Result<void> try_programs() {
  XF_CHECK(load(1, 1));
  return {};
}

Result<Attachment> Attachment::attach(const std::string& netdev) {
  const int ifindex = static_cast<int>(::if_nametoindex(netdev.c_str()));
  if (ifindex == 0)
    return fail(Errc::input_invalid, "{}: no such netdev in the VM's network namespace", netdev);
  Attachment attachment;
  attachment.netdev_ = netdev;
  XF_TRY(lock, lock_netdev(netdev, ifindex));
  attachment.lock_ = std::move(lock);
  XF_TRY(punt, create_punt_device(ifindex));
  attachment.punt_ = std::move(punt);
  XF_TRY(object, load(ifindex, attachment.punt_.ifindex));

  const auto& maps = object->maps;
  const std::uint32_t zero = 0;
  XF_TRY(inherited, inherit(ifindex, bpf_map__fd(maps.drops)));
  attachment.inherited_drops_ = inherited.drops;

  bpf_map_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_map__fd(maps.tails), &info, &size) != 0)
    return fail(Errc::host_refused, "cannot ask for a BPF map's id: {}", std::strerror(errno));
  attachment.tails_id_ = info.id;
  attachment.unsent_tails_ = duplicate(bpf_map__fd(maps.tails));
  attachment.drops_ = duplicate(bpf_map__fd(maps.drops));
  attachment.verdicts_ = duplicate(bpf_map__fd(maps.verdicts));
  attachment.held_ = duplicate(bpf_map__fd(maps.held));
  attachment.agent_ = duplicate(bpf_map__fd(maps.agent));
  attachment.counters_ = duplicate(bpf_map__fd(maps.counters));
  attachment.punt_program_ = duplicate(bpf_program__fd(object->progs.xf_punt));

  // The release side first: from the moment the entry program is there, packets may be punted.
  XF_CHECK(attach_filter(attachment.punt_.ifindex, bpf_program__fd(object->progs.xf_release)));
  XF_TRY(qdisc, ingress_qdisc_of(ifindex));
  const bool creates_qdisc = qdisc == IngressQdisc::none || inherited.created_qdisc;
  const xf_agent agent{0, kFirstGeneration, creates_qdisc ? 1u : 0u};
  if (bpf_map_update_elem(bpf_map__fd(maps.agent), &zero, &agent, BPF_ANY) != 0)
    return fail(Errc::host_refused, "cannot set up BPF maps: {}", std::strerror(errno));
  XF_TRY(entry, attach_filter(ifindex, bpf_program__fd(object->progs.xf_entry)));
  attachment.entry_ = entry;
  attachment.entry_.created_qdisc = creates_qdisc;
  return attachment;
}

Result<AgentHandles> Attachment::arm() {
  AgentHandles handles;
  handles.tails =
      unsent_tails_.is_open() ? std::move(unsent_tails_) : Fd(bpf_map_get_fd_by_id(tails_id_));
  const std::uint32_t zero = 0;
  const int program = punt_program_.number();
  if (!handles.tails.is_open() ||
      bpf_map_update_elem(handles.tails.number(), &zero, &program, BPF_ANY) != 0)
    return fail(Errc::host_refused, "{}: cannot arm the punt program: {}", netdev_,
                std::strerror(errno));
  handles.punt_tap = duplicate(punt_.tap.number());
  handles.drops = duplicate(drops_.number());
  handles.verdicts = duplicate(verdicts_.number());
  handles.held = duplicate(held_.number());
  handles.agent = duplicate(agent_.number());
  handles.counters = duplicate(counters_.number());
  return handles;
}

Result<void> Attachment::detach() {
  char name[IF_NAMESIZE];
  const bool is_gone = ::if_indextoname(static_cast<unsigned>(entry_.ifindex), name) == nullptr;
  if (!is_gone) XF_CHECK(detach_filter(entry_));  // a netdev takes its filters along
  punt_.tap.close();
  lock_.close();
  return {};
}

}  // namespace xfilter::datapath
