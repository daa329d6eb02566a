// SPDX-License-Identifier: Apache-2.0
#include "engine/agent_link.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace xfilter::engine {
namespace {

constexpr std::size_t kMostDescriptors = 16;
constexpr char kIsElsewhere = '+';  // behind the type: the text is in the only descriptor
constexpr char kIsHere = '.';
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// A closed descriptor when there is no memory.
Fd in_memory(const std::string& text) {
  Fd memory(::memfd_create("xfilter-text", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory.is_open() && !write_all(memory, text)) memory.close();
  if (memory.is_open()) ::fcntl(memory.number(), F_ADD_SEALS, kSeals);
  return memory;
}

// Only a sealed memfd cannot change or stall while it is read.
std::optional<std::string> out_of_memory_file(const Fd& memory) {
  struct stat status {};
  if ((::fcntl(memory.number(), F_GET_SEALS) & kSeals) != kSeals ||
      ::fstat(memory.number(), &status) != 0 || status.st_size < 0 ||
      static_cast<std::size_t>(status.st_size) > kLargestText)
    return std::nullopt;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t got =
        ::pread(memory.number(), text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (got <= 0) return std::nullopt;
    at += static_cast<std::size_t>(got);
  }
  return text;
}

bool send_parts(const Fd& socket, MessageType type, char where, std::string_view text,
                Sending sending, const std::vector<int>& descriptors) {
  std::array<char, 2> kind = {static_cast<char>(type), where};
  std::array<iovec, 2> parts = {iovec{kind.data(), kind.size()},
                                iovec{const_cast<char*>(text.data()), text.size()}};
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

}  // namespace

Result<LinkPair> make_link() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(Errc::host_refused, "socketpair: {}", std::strerror(errno));
  return LinkPair{Fd(ends[0]), Fd(ends[1])};
}

bool send_message(const Fd& socket, MessageType type, const std::string& text, Sending sending,
                  const std::vector<int>& descriptors) {
  if (text.size() > kLargestText) return false;
  if (text.size() <= kLargestInline)
    return send_parts(socket, type, kIsHere, text, sending, descriptors);
  const Fd memory = in_memory(text);
  return memory.is_open() && descriptors.empty() &&
         send_parts(socket, type, kIsElsewhere, {}, sending, {memory.number()});
}

std::optional<Message> receive_message(const Fd& socket) {
  std::array<char, kLargestInline + 2> buffer;
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
  if (got < 2) return std::nullopt;
  Message received;
  received.type = static_cast<MessageType>(buffer[0]);
  received.text.assign(buffer.data() + 2, static_cast<std::size_t>(got) - 2);
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
  if (buffer[1] != kIsElsewhere) return received;
  if (received.descriptors.size() != 1) return std::nullopt;
  auto text = out_of_memory_file(received.descriptors.front());
  if (!text) return std::nullopt;
  received.text = std::move(*text);
  received.descriptors.clear();
  return received;
}

}  // namespace xfilter::engine
