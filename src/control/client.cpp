// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "control/address.h"

namespace xfilter::control {

Result<Client> Client::connect(const std::string& path) {
  XF_TRY(address, socket_address(path));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return fail(Errc::host_refused, "socket: {}", std::strerror(errno));
  if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
      0) {
    if (errno == ENOENT || errno == ECONNREFUSED)
      return fail(Errc::host_refused, "nobody serves {}: is `xfilter attach` running for this VM?",
                  path);
    return fail(Errc::host_refused, "{}: {}", path, std::strerror(errno));
  }
  return Client(std::move(socket), path);
}

Result<nlohmann::json> Client::ask(const nlohmann::json& request) {
  const std::string line =
      request.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t now =
        ::send(socket_.number(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (now > 0) sent += static_cast<std::size_t>(now);
    if (now < 0 && errno == EPIPE) break;  // it may have said why
    if (now < 0 && errno != EINTR)
      return fail(Errc::host_refused, "{}: {}", path_, std::strerror(errno));
  }
  XF_TRY(answer_line, next_line());
  auto answer = nlohmann::json::parse(answer_line, nullptr, false);
  if (!answer.is_object())
    return fail(Errc::host_refused, "{}: expected a JSON object as answer", path_);
  if (answer.value("ok", false)) return answer;
  return fail(Errc::input_invalid, "{}", answer.value("error", "refused, without a reason"));
}

Result<std::string> Client::next_line() {
  while (true) {
    if (const auto end = received_.find('\n'); end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return line;
    }
    std::array<char, 65536> buffer;
    const ssize_t got = ::recv(socket_.number(), buffer.data(), buffer.size(), 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
      return fail(Errc::host_refused, "{}: the agent closed the connection", path_);
    if (got < 0 && errno != EINTR)
      return fail(Errc::host_refused, "{}: {}", path_, std::strerror(errno));
    if (got > 0) received_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace xfilter::control
