// SPDX-License-Identifier: Apache-2.0
#include "engine/event_log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "control/address.h"

namespace xfilter::engine {
namespace {

constexpr std::chrono::seconds kBetweenTries{1};

}  // namespace

Result<EventLog> EventLog::open(const std::string& where) {
  EventLog log(where);
  if (log.is_socket()) {
    XF_CHECK(control::socket_address(where.substr(5)));
    log.connect();
  } else if (!where.empty()) {
    XF_CHECK(log.reopen());
  }
  return log;
}

Result<void> EventLog::reopen() {
  if (is_socket() || where_.empty()) return {};
  Fd opened(where_ == "-"
                ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                : ::open(where_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!opened.is_open())
    return fail(Errc::input_invalid, "--events {}: {}", where_, std::strerror(errno));
  file_ = std::move(opened);
  return {};
}

void EventLog::connect() {
  const auto now = std::chrono::steady_clock::now();
  if (now - tried_ < kBetweenTries) return;
  tried_ = now;
  unsent_.clear();
  const auto address = control::socket_address(where_.substr(5));
  file_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(file_.number(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    file_.close();
}

void EventLog::write(const std::string& line) {
  if (where_.empty()) return;
  if (!is_socket()) {
    const std::string whole = line + "\n";
    (void)!::write(file_.number(), whole.data(), whole.size());
    return;
  }
  if (!file_.is_open()) connect();
  // A line that was begun is ended first, so that the reader never sees half of one.
  const bool is_first = unsent_.empty();
  const std::string whole = is_first ? line + "\n" : unsent_;
  const ssize_t sent = !file_.is_open() ? -1
                                        : ::send(file_.number(), whole.data(), whole.size(),
                                                 MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && file_.is_open() && errno != EAGAIN) file_.close();
  if (sent > 0) unsent_ = whole.substr(static_cast<std::size_t>(sent));
  if (!is_first && unsent_.empty()) return write(line);
  if (!is_first || sent <= 0) ++lost_;
}

}  // namespace xfilter::engine
