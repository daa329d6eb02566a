// SPDX-License-Identifier: Apache-2.0
// attribution/datagram_senders.h: which sockets of a port could have sent this very datagram?
//
// A port proves little: who had it may have closed, and another may have it by the time we look.
// IPv4's identification tells sockets apart, as sequence numbers do TCP's; IPv6 has none. And what
// a namespace forwards has an address that is not its own. Threads: one.
#pragma once

#include <vector>

#include "guest/linux/local_addresses.h"
#include "guest/linux/shared_ip_ids.h"
#include "guest/linux/socket_tables.h"
#include "packet/parse.h"

namespace xfilter::attribution {

class DatagramSenders {
 public:
  // `view` is borrowed.
  explicit DatagramSenders(const guest::linux::View& view)
      : view_(&view), shared_ids_(view), addresses_(view) {}

  // The sockets that explain a packet best.
  struct Choice {
    std::vector<guest::linux::SocketTuple> sockets;  // empty: none of those on this port
    const char* doubt = nullptr;                     // what speaks against them; none: nothing does
  };

  // `on_port` are sockets of one network namespace: the UDP sockets bound to the packet's source
  // port, or the ping sockets with its identifier.
  // Cost: up to eight reads a socket, and what LocalAddresses::has() costs.
  Result<Choice> choose(const std::vector<guest::linux::SocketTuple>& on_port,
                        const packet::Packet& packet, Budget& budget);

 private:
  enum class Fit { yes, no, cannot_tell };
  Fit fit_of(const guest::linux::SocketTuple& socket, const packet::Packet& packet) const;
  bool is_sending(const guest::linux::SocketTuple& socket) const;

  const guest::linux::View* view_;
  guest::linux::SharedIpIds shared_ids_;
  guest::linux::LocalAddresses addresses_;
};

}  // namespace xfilter::attribution
