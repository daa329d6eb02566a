// SPDX-License-Identifier: Apache-2.0
// tests/datapath/lab_net.h: a host, a guest and a server as network namespaces.
//
//   guest eth0 ── vm0 [host: br0] up0 ── eth0 server
//
// The host is a namespace of the test's own, entered for good; guest and server live as long as the
// object. No VM: vm0 is a veth, which segments and checksums like a tap with offloads.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>

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

  std::string guest_, server_;
};

inline int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace xfilter::datapath
