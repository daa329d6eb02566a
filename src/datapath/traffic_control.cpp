// SPDX-License-Identifier: Apache-2.0
#include "datapath/traffic_control.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/fd.h"

#pragma GCC diagnostic ignored "-Wold-style-cast"  // in the macros of linux/netlink.h

namespace xfilter::datapath {
namespace {

// Ours among the filters of a hook. An early priority of its own: whoever comes later still has
// room before it.
constexpr std::uint32_t kPriority = 47617;
constexpr std::uint32_t kHandle = 1;

constexpr std::uint32_t kIngressParent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t kEgressParent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
constexpr std::uint32_t kQdiscHandle =
    TC_H_MAKE(TC_H_INGRESS, 0);  // ffff: of clsact and ingress alike

// Calls visit for every message of a dump of the netdev's qdiscs or filters.
Result<void> dump(std::uint16_t type, int ifindex, std::uint32_t parent,
                  const std::function<void(const tcmsg&, const nlmsghdr*)>& visit) {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.is_open()) return fail(Errc::host_refused, "netlink: {}", std::strerror(errno));
  struct {
    nlmsghdr header;
    tcmsg message;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.tcm_family = AF_UNSPEC;
  request.message.tcm_ifindex = ifindex;
  request.message.tcm_parent = parent;
  if (::send(socket.number(), &request, sizeof request, 0) < 0)
    return fail(Errc::host_refused, "netlink: {}", std::strerror(errno));
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  while (true) {
    const ssize_t got = ::recv(socket.number(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return fail(Errc::host_refused, "netlink: {}", std::strerror(errno));
    auto left = static_cast<std::uint32_t>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) return {};  // no such hook: nothing there
      const auto* message = static_cast<const tcmsg*>(NLMSG_DATA(header));
      if (message->tcm_ifindex == ifindex) visit(*message, header);
    }
  }
}

const rtattr* find_attribute(const rtattr* attribute, std::uint32_t length, std::uint16_t type) {
  for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
    if ((attribute->rta_type & NLA_TYPE_MASK) == type) return attribute;
  return nullptr;
}

const rtattr* attribute_of(const nlmsghdr* header, std::uint16_t type) {
  const auto* message = static_cast<const char*>(NLMSG_DATA(header));
  return find_attribute(reinterpret_cast<const rtattr*>(message + NLMSG_ALIGN(sizeof(tcmsg))),
                        static_cast<std::uint32_t>(NLMSG_PAYLOAD(header, sizeof(tcmsg))), type);
}

std::string kind_of(const nlmsghdr* header) {
  const rtattr* kind = attribute_of(header, TCA_KIND);
  return kind != nullptr ? std::string(static_cast<const char*>(RTA_DATA(kind))) : std::string();
}

std::uint32_t program_of(const nlmsghdr* header) {
  const rtattr* options = attribute_of(header, TCA_OPTIONS);
  if (options == nullptr || kind_of(header) != "bpf") return 0;
  const rtattr* id = find_attribute(static_cast<const rtattr*>(RTA_DATA(options)),
                                    static_cast<std::uint32_t>(RTA_PAYLOAD(options)), TCA_BPF_ID);
  if (id == nullptr) return 0;
  std::uint32_t value = 0;
  std::memcpy(&value, RTA_DATA(id), sizeof value);
  return value;
}

bpf_tc_hook hook_of(int ifindex, IngressQdisc qdisc) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = ifindex;
  hook.attach_point = qdisc == IngressQdisc::ingress ? BPF_TC_CUSTOM : BPF_TC_INGRESS;
  hook.parent = qdisc == IngressQdisc::ingress ? kQdiscHandle : 0;
  return hook;
}

bool is_ours(const BpfFilter& filter) {
  return filter.priority == kPriority && filter.handle == kHandle;
}

}  // namespace

Result<IngressQdisc> ingress_qdisc_of(int ifindex) {
  IngressQdisc found = IngressQdisc::none;
  XF_CHECK(dump(RTM_GETQDISC, ifindex, 0, [&](const tcmsg& message, const nlmsghdr* header) {
    if (message.tcm_handle != kQdiscHandle) return;
    if (kind_of(header) == "clsact") found = IngressQdisc::clsact;
    if (kind_of(header) == "ingress") found = IngressQdisc::ingress;
  }));
  return found;
}

Result<std::vector<BpfFilter>> filters_of(int ifindex) {
  std::vector<BpfFilter> filters;
  XF_TRY(qdisc, ingress_qdisc_of(ifindex));
  std::vector<std::uint32_t> parents;
  if (qdisc == IngressQdisc::clsact) parents = {kIngressParent, kEgressParent};
  if (qdisc == IngressQdisc::ingress) parents = {kQdiscHandle};
  for (const std::uint32_t parent : parents)
    XF_CHECK(
        dump(RTM_GETTFILTER, ifindex, parent, [&](const tcmsg& message, const nlmsghdr* header) {
          if (message.tcm_handle == 0) return;  // the head of a priority, not a filter
          filters.push_back(
              {parent, TC_H_MAJ(message.tcm_info) >> 16, message.tcm_handle, program_of(header)});
        }));
  return filters;
}

Result<AttachedFilter> attach_filter(int ifindex, int program_fd) {
  XF_TRY(qdisc, ingress_qdisc_of(ifindex));
  AttachedFilter attached{ifindex, qdisc, false};
  if (qdisc == IngressQdisc::none) {
    attached.qdisc = IngressQdisc::clsact;
    attached.created_qdisc = true;
  }
  bpf_tc_hook hook = hook_of(ifindex, attached.qdisc);
  if (attached.created_qdisc)
    if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
      return fail(Errc::host_refused, "cannot add a clsact qdisc to netdev {}: {}", ifindex,
                  std::strerror(-error));
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.prog_fd = program_fd;
  options.flags = BPF_TC_F_REPLACE;
  options.handle = kHandle;
  options.priority = kPriority;
  if (const int error = bpf_tc_attach(&hook, &options); error != 0)
    return fail(Errc::host_refused, "cannot attach a classifier to netdev {}: {}", ifindex,
                std::strerror(-error));
  return attached;
}

Result<void> detach_filter(const AttachedFilter& filter) {
  bpf_tc_hook hook = hook_of(filter.ifindex, filter.qdisc);
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = kHandle;
  options.priority = kPriority;
  if (const int error = bpf_tc_detach(&hook, &options);
      error != 0 && error != -ENOENT && error != -ENODEV)
    return fail(Errc::host_refused, "cannot remove the classifier from netdev {}: {}",
                filter.ifindex, std::strerror(-error));
  if (!filter.created_qdisc) return {};
  XF_TRY(filters, filters_of(filter.ifindex));
  if (!std::all_of(filters.begin(), filters.end(), is_ours)) return {};
  hook.attach_point =
      static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);  // the qdisc itself
  if (const int error = bpf_tc_hook_destroy(&hook);
      error != 0 && error != -ENOENT && error != -ENODEV)
    return fail(Errc::host_refused, "cannot remove the clsact qdisc from netdev {}: {}",
                filter.ifindex, std::strerror(-error));
  return {};
}

Result<std::optional<std::uint32_t>> find_program(int ifindex, const std::string& name) {
  XF_TRY(filters, filters_of(ifindex));
  for (const BpfFilter& filter : filters) {
    if (!is_ours(filter) || filter.program_id == 0) continue;
    const Fd program(bpf_prog_get_fd_by_id(filter.program_id));
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    if (program.is_open() && bpf_obj_get_info_by_fd(program.number(), &info, &size) == 0 &&
        name == info.name)
      return filter.program_id;
  }
  return std::nullopt;
}

}  // namespace xfilter::datapath
