// SPDX-License-Identifier: Apache-2.0
#include "engine/control.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace xfilter::engine {
namespace {

constexpr std::size_t kMostDescriptors = 16;

}  // namespace

Result<ControlPair> make_control_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(Errc::host_refused, "socketpair: {}", std::strerror(errno));
  return ControlPair{Fd(ends[0]), Fd(ends[1])};
}

bool send_message(const Fd& socket, MessageType type, const std::string& text, Sending sending,
                  const std::vector<int>& descriptors) {
  char kind = static_cast<char>(type);
  std::array<iovec, 2> parts = {iovec{&kind, 1}, iovec{const_cast<char*>(text.data()),
                                                       std::min(text.size(), kLargestMessage - 1)}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostDescriptors)> control{};
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
  }
  const int flags = MSG_NOSIGNAL | (sending == Sending::drops_when_full ? MSG_DONTWAIT : 0);
  return ::sendmsg(socket.number(), &message, flags) >= 0;
}

std::optional<Message> receive_message(const Fd& socket) {
  std::array<char, kLargestMessage> buffer;
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostDescriptors)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do got = ::recvmsg(socket.number(), &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  Message received;
  received.type = static_cast<MessageType>(buffer[0]);
  received.text.assign(buffer.data() + 1, static_cast<std::size_t>(got) - 1);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      received.descriptors.emplace_back(fd);
    }
  }
  return received;
}

}  // namespace xfilter::engine
