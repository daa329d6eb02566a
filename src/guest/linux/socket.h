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

enum class SocketKind : std::uint8_t {
  tcp,
  udp,
  ping,  // SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6: sends echo requests with its identifier
  raw,   // SOCK_RAW of AF_INET or AF_INET6: may send whatever it likes
  packet,  // AF_PACKET: may send whatever it likes
};

const char* to_string(SocketKind kind);

// What every entry of the socket tables has (struct sock_common).
struct SocketTuple {
  SocketKind kind = SocketKind::tcp;
  VirtAddr at;  // struct sock, inet_timewait_sock or request_sock, by `state`
  TcpState state = TcpState::close;
  bool is_ipv6_socket = false;  // AF_INET6; it can carry IPv4 (then the addresses are v4-mapped)
  packet::IpAddress local;      // unspecified (zeros) when bound to any
  packet::IpAddress remote;     // zeros when not connected
  std::uint16_t local_port =
      0;  // ping: the identifier; raw: the IP protocol; packet: the EtherType
  std::uint16_t remote_port = 0;
  VirtAddr net;
  std::uint32_t hash = 0;

  bool operator==(const SocketTuple&) const = default;
  // A full struct sock: has sk_uid and may have a file.
  bool is_full() const { return state != TcpState::time_wait && state != TcpState::new_syn_recv; }
};

// guest_data_invalid when its family is not one that sockets of this kind have.
Result<SocketTuple> read_tuple(const View& view, SocketKind kind, VirtAddr sock_common);

// Where a TCP connection stands (struct tcp_sock). Sequence numbers wrap.
struct TcpWindow {
  std::uint32_t snd_una = 0;       // first byte that the peer has not acknowledged
  std::uint32_t snd_nxt = 0;       // next byte to send
  std::uint32_t write_seq = 0;     // behind the last byte that the process wrote
  std::uint32_t rcv_nxt = 0;       // next byte expected from the peer
  std::uint32_t max_window = 0;    // largest window the peer ever offered
  std::uint32_t window_clamp = 0;  // largest window we offer
};
// `sock` is a full TCP socket.
Result<TcpWindow> read_tcp_window(const View& view, VirtAddr sock);

// The identification that the next IPv4 packet of a connected Internet socket will carry: a count
// of its own, from a random start (ip_select_ident(), include/net/ip.h).
Result<std::uint16_t> read_next_ip_id(const View& view, VirtAddr sock);

struct SocketFile {
  std::uint32_t uid = 0;  // sk_uid: creator's, or the socket inode's after fchown
  VirtAddr socket;        // struct socket, none once closed: as long as it stays, so does the file
  VirtAddr file;          // struct file, none once closed (orphan) or for the kernel's own sockets
};
// Of a full sock. Verified: file -> socket -> sock leads back, otherwise guest_data_invalid.
Result<SocketFile> read_socket_file(const View& view, VirtAddr sock);

// Of a struct file: as in /proc/PID/fd and /proc/net/*.
Result<std::uint64_t> read_inode_number(const View& view, VirtAddr file);

// Whether something that the socket sent has not left the guest's network device yet, or has not
// been taken back from it. A sock has one byte of sk_wmem_alloc itself (sk_alloc()); packets have
// the rest.
Result<bool> read_is_sending(const View& view, VirtAddr sock);

// The sock behind a struct file, or none if it is not a socket's file.
Result<VirtAddr> read_sock_of_file(const View& view, VirtAddr file);

// How many references to an open file there are: one for each descriptor table slot, more while it
// is in use elsewhere (passed over a unix socket, io_uring, a system call of a threaded process).
Result<std::uint64_t> read_file_references(const View& view, VirtAddr file);

}  // namespace xfilter::guest::linux
