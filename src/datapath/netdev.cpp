// SPDX-License-Identifier: Apache-2.0
#include "datapath/netdev.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace xfilter::datapath {
namespace {

std::string read_link(const std::string& path) {
  char target[256];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : std::string();
}

Fd open_netns(pid_t pid) {
  return Fd(::open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC));
}

// What the kernel says of one descriptor of the VMM; nothing for a tun descriptor without a device.
std::optional<Netdev> tap_behind(const Fd& process, int number) {
  const Fd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.number(), number, 0)));
  if (!copy.is_open()) return std::nullopt;
  ifreq request{};
  if (::ioctl(copy.number(), TUNGETIFF, &request) != 0) return std::nullopt;
  Fd netns(::ioctl(copy.number(), TUNGETDEVNETNS, 0));
  return Netdev{request.ifr_name, std::move(netns)};
}

std::string names_of(const std::vector<Netdev>& netdevs) {
  std::string text;
  for (const Netdev& netdev : netdevs) text += (text.empty() ? "" : ", ") + netdev.name;
  return text.empty() ? "none" : text;
}

}  // namespace

Result<std::vector<Netdev>> find_taps(pid_t vmm) {
  const std::string folder = fmt::format("/proc/{}/fd", vmm);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), &::closedir);
  if (!entries && errno == ENOENT)
    return fail(Errc::vmm_not_recognised, "there is no process {}", vmm);
  if (!entries)
    return fail(Errc::host_refused, "{}: {}. Finding a VM's netdevs needs root", folder,
                std::strerror(errno));
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, vmm, 0)));
  std::vector<Netdev> taps;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (read_link(folder + "/" + entry->d_name) != "/dev/net/tun") continue;
    auto tap = tap_behind(process, std::atoi(entry->d_name));
    const auto is_same = [&](const Netdev& other) { return tap && other.name == tap->name; };
    if (tap && std::none_of(taps.begin(), taps.end(), is_same)) taps.push_back(std::move(*tap));
  }
  for (Netdev& tap : taps)
    if (!tap.netns.is_open()) tap.netns = open_netns(vmm);  // TUNGETDEVNETNS is new in 5.12
  std::sort(taps.begin(), taps.end(),
            [](const Netdev& a, const Netdev& b) { return a.name < b.name; });
  return taps;
}

Result<std::vector<Netdev>> find_netdevs(pid_t vmm, const std::vector<std::string>& names) {
  XF_TRY(taps, find_taps(vmm));
  if (names.empty()) {
    if (taps.empty())
      return fail(Errc::input_invalid,
                  "process {} has no tap open: its NICs end elsewhere (macvtap, vhost-user, "
                  "passed-through devices "
                  "cannot be filtered; name a veth or other netdev with --dev)",
                  vmm);
    return taps;
  }
  std::vector<Netdev> found;
  for (const std::string& name : names) {
    const auto tap =
        std::find_if(taps.begin(), taps.end(), [&](const Netdev& t) { return t.name == name; });
    if (tap != taps.end()) {
      found.push_back({name, Fd(::fcntl(tap->netns.number(), F_DUPFD_CLOEXEC, 0))});
      continue;
    }
    Fd netns = open_netns(vmm);
    XF_CHECK(enter_netns(netns));
    if (::if_nametoindex(name.c_str()) == 0)
      return fail(Errc::input_invalid,
                  "--dev {}: no such netdev in the network namespace of process {}. Its taps: {}",
                  name, vmm, names_of(taps));
    found.push_back({name, std::move(netns)});
  }
  return found;
}

Result<void> enter_netns(const Fd& netns) {
  if (::setns(netns.number(), CLONE_NEWNET) == 0) return {};
  return fail(Errc::host_refused,
              "cannot enter the VM's network namespace: {}. It needs root (CAP_SYS_ADMIN)",
              std::strerror(errno));
}

}  // namespace xfilter::datapath
