// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/socket.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::uint16_t kAfInet = 2, kAfInet6 = 10, kAfPacket = 17;

// A struct sock_common, copied at once: all members of a tuple are of the same moment, or nearly.
class SockCommon {
 public:
  static Result<SockCommon> read(const View& view, VirtAddr at) {
    SockCommon common;
    XF_CHECK(view.space().read(at, common.bytes_));
    return common;
  }

  // Zeros for a member that lies elsewhere than in sock_common, which no kernel's does.
  template <class T>
  T member(kernel::Member member) const {
    return load<T>(bytes_, member.offset).value_or(T{});
  }
  packet::IpAddress v4(kernel::Member member) const {
    return packet::IpAddress::v4(__builtin_bswap32(this->member<std::uint32_t>(member)));
  }
  packet::IpAddress v6(kernel::Member member) const {
    return packet::IpAddress::v6(this->member<std::array<std::uint8_t, 16>>(member));
  }

 private:
  std::array<std::byte, 136> bytes_;  // sizeof(struct sock_common) with IPv6, v5.10 to v7.2
};

Result<SocketTuple> read_packet_socket(const View& view, VirtAddr at) {
  const auto& layout = view.layout();
  XF_TRY(common, SockCommon::read(view, at));
  const auto family = common.member<std::uint16_t>(layout.sk_family);
  if (family != kAfPacket)
    return fail(Errc::guest_data_invalid, "sock {}: family {}, expected AF_PACKET", at, family);
  SocketTuple tuple;
  tuple.kind = SocketKind::packet;
  tuple.at = at;
  XF_TRY(ether_type, view.read<std::uint16_t>(at, layout.packet_sock_num));
  tuple.local_port = __builtin_bswap16(ether_type);
  tuple.net = VirtAddr{common.member<std::uint64_t>(layout.sk_net)};
  return tuple;
}

}  // namespace

const char* to_string(SocketKind kind) {
  switch (kind) {
    case SocketKind::tcp:
      return "tcp";
    case SocketKind::udp:
      return "udp";
    case SocketKind::ping:
      return "ping";
    case SocketKind::raw:
      return "raw";
    case SocketKind::packet:
      return "packet";
  }
  return "unknown";
}

const char* to_string(TcpState state) {
  switch (state) {
    case TcpState::established:
      return "ESTABLISHED";
    case TcpState::syn_sent:
      return "SYN_SENT";
    case TcpState::syn_recv:
      return "SYN_RECV";
    case TcpState::fin_wait1:
      return "FIN_WAIT1";
    case TcpState::fin_wait2:
      return "FIN_WAIT2";
    case TcpState::time_wait:
      return "TIME_WAIT";
    case TcpState::close:
      return "CLOSE";
    case TcpState::close_wait:
      return "CLOSE_WAIT";
    case TcpState::last_ack:
      return "LAST_ACK";
    case TcpState::listen:
      return "LISTEN";
    case TcpState::closing:
      return "CLOSING";
    case TcpState::new_syn_recv:
      return "SYN_RECV";
  }
  return "UNKNOWN";
}

Result<SocketTuple> read_tuple(const View& view, SocketKind kind, VirtAddr at) {
  if (kind == SocketKind::packet) return read_packet_socket(view, at);
  const auto& layout = view.layout();
  SocketTuple tuple;
  tuple.kind = kind;
  tuple.at = at;
  XF_TRY(common, SockCommon::read(view, at));
  const auto family = common.member<std::uint16_t>(layout.sk_family);
  const auto state = common.member<std::uint8_t>(layout.sk_state);
  if ((family != kAfInet && family != kAfInet6) || state < 1 || state > 12)
    return fail(Errc::guest_data_invalid,
                "sock {}: family {} and state {} are not an Internet socket's", at, family, state);
  tuple.state = static_cast<TcpState>(state);
  tuple.is_ipv6_socket = family == kAfInet6;
  tuple.local_port = common.member<std::uint16_t>(layout.sk_num);
  tuple.remote_port = __builtin_bswap16(common.member<std::uint16_t>(layout.sk_dport));
  tuple.net = VirtAddr{common.member<std::uint64_t>(layout.sk_net)};
  tuple.hash = common.member<std::uint32_t>(layout.sk_hash);
  tuple.local =
      tuple.is_ipv6_socket ? common.v6(layout.sk_v6_rcv_saddr) : common.v4(layout.sk_rcv_saddr);
  tuple.remote = tuple.is_ipv6_socket ? common.v6(layout.sk_v6_daddr) : common.v4(layout.sk_daddr);
  return tuple;
}

Result<TcpWindow> read_tcp_window(const View& view, VirtAddr sock) {
  const auto& layout = view.layout();
  TcpWindow window;
  XF_TRY(snd_una, view.read<std::uint32_t>(sock, layout.tcp_snd_una));
  window.snd_una = snd_una;
  XF_TRY(snd_nxt, view.read<std::uint32_t>(sock, layout.tcp_snd_nxt));
  window.snd_nxt = snd_nxt;
  XF_TRY(write_seq, view.read<std::uint32_t>(sock, layout.tcp_write_seq));
  window.write_seq = write_seq;
  XF_TRY(rcv_nxt, view.read<std::uint32_t>(sock, layout.tcp_rcv_nxt));
  window.rcv_nxt = rcv_nxt;
  XF_TRY(max_window, view.read<std::uint32_t>(sock, layout.tcp_max_window));
  window.max_window = max_window;
  XF_TRY(window_clamp, view.read<std::uint32_t>(sock, layout.tcp_window_clamp));
  window.window_clamp = window_clamp;
  return window;
}

// A u16, since v6.6 an atomic_t: little endian, the low half is the same.
Result<std::uint16_t> read_next_ip_id(const View& view, VirtAddr sock) {
  return view.read<std::uint16_t>(sock, view.layout().inet_id);
}

Result<bool> read_is_sending(const View& view, VirtAddr sock) {
  XF_TRY(allocated, view.read<std::uint32_t>(sock, view.layout().sk_wmem_alloc));
  return allocated > 1;
}

Result<VirtAddr> read_sock_of_file(const View& view, VirtAddr file) {
  const auto& layout = view.layout();
  XF_TRY(operations, view.read_pointer(file, layout.file_f_op));
  if (operations != view.socket_file_ops()) return VirtAddr{};
  XF_TRY(socket, view.read_pointer(file, layout.file_private_data));
  return view.read_pointer(socket, layout.socket_sk);
}

Result<SocketFile> read_socket_file(const View& view, VirtAddr sock) {
  const auto& layout = view.layout();
  SocketFile found;
  XF_TRY(uid, view.read<std::uint32_t>(sock, layout.sk_uid));
  found.uid = uid;
  XF_TRY(socket, view.read_pointer(sock, layout.sk_socket));
  found.socket = socket;
  if (!socket) return found;
  XF_TRY(file, view.read_pointer(socket, layout.socket_file));
  if (!file) return found;
  XF_TRY(back, read_sock_of_file(view, file));
  if (back != sock)
    return fail(Errc::guest_data_invalid, "sock {}: its file {} leads to sock {}", sock, file,
                back);
  found.file = file;
  return found;
}

Result<std::uint64_t> read_inode_number(const View& view, VirtAddr file) {
  XF_TRY(inode, view.read_pointer(file, view.layout().file_f_inode));
  return view.read<std::uint64_t>(inode, view.layout().inode_i_ino);
}

Result<std::uint64_t> read_file_references(const View& view, VirtAddr file) {
  const auto& layout = view.layout();
  if (layout.file_f_count) return view.read<std::uint64_t>(file, *layout.file_f_count);
  if (!layout.file_f_ref)
    return fail(Errc::profile_lacks_member,
                "the guest kernel's BTF has neither file.f_count nor file.f_ref");
  // file_ref_t counts from 0 for one reference (include/linux/file_ref.h, FILE_REF_ONEREF).
  XF_TRY(references, view.read<std::uint64_t>(file, *layout.file_f_ref));
  return references + 1;
}

}  // namespace xfilter::guest::linux
