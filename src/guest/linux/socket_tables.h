// SPDX-License-Identifier: Apache-2.0
// guest/linux/socket_tables.h: finding sockets where the guest's kernel keeps them: the TCP
// established table, the TCP listeners, the UDP table, those of ping, raw and packet sockets.
//
// The tables change while we read them. A chain that leads elsewhere than its bucket (an object was
// moved) ends with what was found; callers check what they got by reading its tuple again.
// Cost: a look-up reads one bucket and the heads of its chain; a sweep reads whole tables.
#pragma once

#include <functional>
#include <vector>

#include "guest/linux/inet_hash.h"
#include "guest/linux/socket.h"

namespace xfilter::guest::linux {

// A net namespace.
struct Net {
  VirtAddr at;
  std::uint32_t inum = 0;  // as in /proc/PID/ns/net
};
Result<Net> read_net(const View& view, VirtAddr net);
Result<std::vector<Net>> walk_nets(const View& view, Budget budget);

class SocketTables {
 public:
  // `view` is borrowed.
  explicit SocketTables(const View& view);

  // The TCP socket (established, on its way there or away from it; also TIME_WAIT and request
  // sockets) with exactly this tuple; none when the table has no such entry.
  Result<std::optional<SocketTuple>> find_tcp(VirtAddr net, const packet::Flow& flow,
                                              Budget& budget);

  // Every UDP socket of `net` bound to the flow's source port that can send over its IP version,
  // whatever its peer: sendto() names another, and IP_PKTINFO another local address.
  Result<std::vector<SocketTuple>> find_udp(VirtAddr net, const packet::Flow& flow,
                                            Budget& budget) const;

  // Every ping socket of `net` with the flow's identifier and IP version.
  Result<std::vector<SocketTuple>> find_ping(VirtAddr net, const packet::Flow& flow,
                                             Budget& budget) const;

  // Every raw and packet socket of `net`.
  Result<std::vector<SocketTuple>> find_raw(VirtAddr net, Budget& budget) const;

  // Every socket of the tables that `net` uses, also those of other namespaces that share them.
  using Visit = std::function<Result<void>(const SocketTuple&)>;
  Result<void> sweep(VirtAddr net, Budget& budget, const Visit& visit) const;

 private:
  Result<InetSecrets> read_secrets(VirtAddr net, bool is_ipv6) const;

  // Where a secret lies, whatever its value is by now.
  std::optional<VirtAddr> secret_at(std::string_view symbol,
                                    const std::optional<kernel::Member>& hotdata) const;

  const View* view_;
  std::optional<VirtAddr> tcp4_, tcp6_, tcp6_addr_;
  std::array<std::optional<VirtAddr>, 2> raw_;  // the buckets of raw sockets, IPv4 and IPv6
  int inet4_formula_ = 0;                       // the one that found something last is tried first
  int inet6_formula_ = 0;
};

}  // namespace xfilter::guest::linux
