// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/local_addresses.h"

#include <array>
#include <optional>

namespace xfilter::guest::linux {
namespace {

using packet::IpAddress;

Result<IpAddress> read_address(const View& view, VirtAddr ifaddr, IpAddress::Family family) {
  const auto& layout = view.layout();
  if (family == IpAddress::Family::v6) {
    XF_TRY(bytes, (view.read<std::array<std::uint8_t, 16>>(ifaddr, layout.inet6_ifaddr_addr)));
    return IpAddress::v6(bytes);
  }
  IpAddress address;
  XF_TRY(bytes, (view.read<std::array<std::uint8_t, 4>>(ifaddr, layout.in_ifaddr_ifa_local)));
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address;
}

// The struct in_ifaddr or inet6_ifaddr of `device` with this address.
Result<std::optional<VirtAddr>> find_on_device(const View& view, VirtAddr device,
                                               const IpAddress& address, Budget& budget) {
  const auto& layout = view.layout();
  std::optional<VirtAddr> found;
  if (address.family == IpAddress::Family::v6) {
    XF_TRY(idev, view.read_pointer(device, layout.net_device_ip6_ptr));
    if (!idev) return found;
    XF_CHECK(walk_list(view, idev + layout.inet6_dev_addr_list.offset, layout.inet6_ifaddr_if_list,
                       budget, "IPv6 addresses", [&](VirtAddr ifaddr) -> Result<void> {
                         XF_TRY(its, read_address(view, ifaddr, address.family));
                         if (its == address) found = ifaddr;
                         return {};
                       }));
    return found;
  }
  XF_TRY(in_device, view.read_pointer(device, layout.net_device_ip_ptr));
  if (!in_device) return found;
  XF_TRY(ifaddr, view.read_pointer(in_device, layout.in_device_ifa_list));
  CircleCheck circle;
  while (ifaddr) {
    if (circle.closes_at(ifaddr.value))
      return fail(Errc::budget_exhausted, "IPv4 addresses: a circle");
    XF_CHECK(budget.spend("IPv4 addresses"));
    XF_TRY(its, read_address(view, ifaddr, address.family));
    if (its == address) return ifaddr;
    XF_TRY(next, view.read_pointer(ifaddr, layout.in_ifaddr_ifa_next));
    ifaddr = next;
  }
  return found;
}

}  // namespace

Result<bool> LocalAddresses::has(VirtAddr net, const IpAddress& address, Budget& budget) {
  const auto known = remembered_.find({net, address});
  if (known != remembered_.end() && has_still(net, address, known->second)) return true;

  std::optional<VirtAddr> found;
  const auto& layout = view_->layout();
  XF_CHECK(walk_list(*view_, net + layout.net_dev_base_head.offset, layout.net_device_dev_list,
                     budget, "network devices", [&](VirtAddr device) -> Result<void> {
                       if (found) return {};
                       XF_TRY(on_device, find_on_device(*view_, device, address, budget));
                       found = on_device;
                       return {};
                     }));
  if (!found) return false;
  if (remembered_.size() >= kMostRemembered) remembered_.clear();
  remembered_.insert_or_assign({net, address}, *found);
  return true;
}

bool LocalAddresses::has_still(VirtAddr net, const IpAddress& address, VirtAddr ifaddr) const {
  const auto& layout = view_->layout();
  const bool is_v6 = address.family == IpAddress::Family::v6;
  const auto its = read_address(*view_, ifaddr, address.family);
  if (!its || *its != address) return false;
  const auto of_device =
      view_->read_pointer(ifaddr, is_v6 ? layout.inet6_ifaddr_idev : layout.in_ifaddr_ifa_dev);
  if (!of_device) return false;
  const auto device =
      view_->read_pointer(*of_device, is_v6 ? layout.inet6_dev_dev : layout.in_device_dev);
  if (!device) return false;
  const auto its_net = view_->read_pointer(*device, layout.net_device_nd_net);
  return its_net && *its_net == net;
}

}  // namespace xfilter::guest::linux
