// SPDX-License-Identifier: Apache-2.0
// tests/datapath/lab_net.h: a host, a guest and a server as network namespaces.
//
//   guest eth0 ── vm0 [host: br0] up0 ── eth0 server
//
// The host is a namespace of the test's own, entered for good; guest and server live as long as the
// object. No VM: vm0 is a veth, which segments and checksums like a tap with offloads.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>

#include "base/fd.h"

namespace xfilter::datapath {

inline void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
}

class LabNet {
 public:
  LabNet() {
    guest_ = fmt::format("xf-{}-0-vm", ::getpid());
    server_ = fmt::format("xf-{}-0-srv", ::getpid());
    if (::unshare(CLONE_NEWNET) != 0) throw std::runtime_error("unshare");
    shell("ip link set lo up && ip link add br0 type bridge && ip link set br0 up");
    add(guest_, "vm0", 2);
    add(server_, "up0", 1);
    // The host's own chatter would be counted: nothing but the test shall send.
    shell("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
  }
  ~LabNet() {
    for (const auto& name : {guest_, server_}) (void)!std::system(("ip netns del " + name).c_str());
  }
  LabNet(const LabNet&) = delete;
  LabNet& operator=(const LabNet&) = delete;

  // Runs `work` in a child inside the namespace.
  pid_t in_guest(const std::function<int()>& work) const { return inside(guest_, work); }
  pid_t in_server(const std::function<int()>& work) const { return inside(server_, work); }

  // Whole frames, of the namespace's only device.
  Fd frames_of_guest() const { return packet_socket(guest_); }
  Fd frames_of_server() const { return packet_socket(server_); }

 private:
  static void add(const std::string& netns, const std::string& device, int number) {
    shell("ip netns add " + netns);
    shell(fmt::format(
        "ip link add {0} type veth peer name eth0 netns {1} && ip link set {0} master br0 up && "
        "nsenter --net=/run/netns/{1} sh -c 'ip link set lo up && "
        "ip addr add 10.77.0.{2}/24 dev eth0 && ip addr add fd77::{2}/64 dev eth0 nodad && "
        "ip link set eth0 up'",
        device, netns, number));
  }
  static pid_t inside(const std::string& netns, const std::function<int()>& work) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const int fd = ::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) ::_exit(120);
    ::_exit(work());
  }

  static Fd packet_socket(const std::string& netns) {
    const Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const Fd there(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
    if (::setns(there.number(), CLONE_NEWNET) != 0) throw std::runtime_error("setns");
    Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
    const bool is_bound =
        ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    packet_mreq all{address.sll_ifindex, PACKET_MR_PROMISC, 0, {}};
    ::setsockopt(socket.number(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
    if (::setns(here.number(), CLONE_NEWNET) != 0 || !is_bound) throw std::runtime_error("bind");
    return socket;
  }

  std::string guest_, server_;
};

inline int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace xfilter::datapath
