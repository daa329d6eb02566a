// SPDX-License-Identifier: Apache-2.0
// guest/linux/socket.h: the guest's TCP and UDP sockets: struct sock, its small siblings, and the
// files that processes hold them by.
#pragma once

#include <string>

#include "guest/linux/view.h"
#include "packet/flow.h"

namespace xfilter::guest::linux {

// include/net/tcp_states.h
enum class TcpState : std::uint8_t {
  established = 1,
  syn_sent,
  syn_recv,
  fin_wait1,
  fin_wait2,
  time_wait,
  close,
  close_wait,
  last_ack,
  listen,
  closing,
  new_syn_recv,
};
const char* to_string(TcpState state);  // as ss and /proc/net/tcp readers spell it: "ESTABLISHED"

// What every entry of the socket tables has (struct sock_common).
struct SocketTuple {
  VirtAddr at;  // struct sock, inet_timewait_sock or request_sock, by `state`
  TcpState state = TcpState::close;
  bool is_ipv6_socket = false;  // AF_INET6; it can carry IPv4 (then the addresses are v4-mapped)
  packet::IpAddress local;      // unspecified (zeros) when bound to any
  packet::IpAddress remote;     // zeros when not connected
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  VirtAddr net;
  std::uint32_t hash = 0;

  bool operator==(const SocketTuple&) const = default;
  // A full struct sock: has sk_uid and may have a file.
  bool is_full() const { return state != TcpState::time_wait && state != TcpState::new_syn_recv; }
};

// guest_data_invalid when it is neither AF_INET nor AF_INET6.
Result<SocketTuple> read_tuple(const View& view, VirtAddr sock_common);

struct SocketFile {
  std::uint32_t uid = 0;  // sk_uid: creator's, or the socket inode's after fchown
  VirtAddr file;          // struct file, none once closed (orphan) or for the kernel's own sockets
  std::uint64_t inode = 0;  // as in /proc/PID/fd and /proc/net/*; 0 without a file
};
// Of a full sock. Verified: file -> socket -> sock leads back, otherwise guest_data_invalid.
Result<SocketFile> read_socket_file(const View& view, VirtAddr sock);

// The sock behind a struct file, or none if it is not a socket's file.
Result<VirtAddr> read_sock_of_file(const View& view, VirtAddr file);

// How many references to an open file there are: one for each descriptor table slot, more while it
// is in use elsewhere (passed over a unix socket, io_uring, a system call of a threaded process).
Result<std::uint64_t> read_file_references(const View& view, VirtAddr file);

}  // namespace xfilter::guest::linux
