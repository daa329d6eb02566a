// SPDX-License-Identifier: Apache-2.0
#include "datapath/punt_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace xfilter::datapath {
namespace {

#ifndef TUN_F_USO4
constexpr unsigned TUN_F_USO4 = 0x20, TUN_F_USO6 = 0x40;  // include/uapi/linux/if_tun.h, v6.2
#endif
constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

tl::unexpected<Error> refused(const char* what, const std::string& name) {
  return fail(Errc::host_refused, "punt device {}: {}: {}", name, what, std::strerror(errno));
}

// The device shall send nothing of its own: no router solicitations, no multicast reports.
void disable_ipv6(const std::string& name) {
  const Fd knob(::open(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", name).c_str(),
                       O_WRONLY | O_CLOEXEC));
  if (knob.is_open()) (void)!::write(knob.number(), "1", 1);  // absent: the host has no IPv6
}

}  // namespace

Result<PuntDevice> create_punt_device(int vm_ifindex) {
  PuntDevice device;
  device.name = fmt::format("xfp{}", vm_ifindex);
  device.tap = Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!device.tap.is_open()) return refused("/dev/net/tun", device.name);
  ifreq request{};
  std::copy(device.name.begin(), device.name.end(), request.ifr_name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(device.tap.number(), TUNSETIFF, &request) != 0)
    return refused("TUNSETIFF", device.name);
  // USO needs host kernel 6.2; without it the guest was not offered it either.
  if (::ioctl(device.tap.number(), TUNSETOFFLOAD, kOffloads | TUN_F_USO4 | TUN_F_USO6) != 0 &&
      ::ioctl(device.tap.number(), TUNSETOFFLOAD, kOffloads) != 0)
    return refused("TUNSETOFFLOAD", device.name);

  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  disable_ipv6(device.name);
  request.ifr_qlen = static_cast<int>(kPuntQueueLength);
  if (::ioctl(control.number(), SIOCSIFTXQLEN, &request) != 0)
    return refused("queue length", device.name);
  // As large as an MTU can be: what the VM may send must never be too long for the way through us.
  request.ifr_mtu = 65521;
  if (::ioctl(control.number(), SIOCSIFMTU, &request) != 0) return refused("MTU", device.name);
  request.ifr_flags = IFF_UP;
  if (::ioctl(control.number(), SIOCSIFFLAGS, &request) != 0) return refused("up", device.name);
  if (::ioctl(control.number(), SIOCGIFINDEX, &request) != 0) return refused("index", device.name);
  device.ifindex = request.ifr_ifindex;
  return device;
}

}  // namespace xfilter::datapath
