// SPDX-License-Identifier: Apache-2.0
#include "control/address.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace xfilter::control {

std::string path_of(const std::string& name) {
  return fmt::format("{}/{}.sock", kFolder, name);
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder, error))
    if (entry.path().extension() == ".sock") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Errc::input_invalid, "{}: a socket's path has less than {} bytes", path,
                sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Fd> listen_at(const std::string& path) {
  XF_TRY(address, socket_address(path));
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  const auto refused = [&](const char* step) {
    return fail(Errc::host_refused, "the control socket {}: {}: {}", path, step,
                std::strerror(errno));
  };
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return refused("socket");
  if (::connect(socket.number(), name, sizeof address) == 0 || errno == EAGAIN)
    return fail(Errc::already_attached,
                "the control socket {} is served by another xfilter: give this VM a name of its "
                "own with --name",
                path);
  const bool is_left_over = errno == ECONNREFUSED;
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
    return fail(Errc::input_invalid,
                "the control socket {}: there is a file of this name that is no socket: choose "
                "another path",
                path);
  if (is_left_over && ::unlink(path.c_str()) != 0) return refused("unlink");
  Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::bind(listening.number(), name, sizeof address) != 0) return refused("bind");
  if (::chmod(path.c_str(), 0666) != 0) return refused("chmod");
  if (::listen(listening.number(), 16) != 0) return refused("listen");
  return listening;
}

}  // namespace xfilter::control
