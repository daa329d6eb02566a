// SPDX-License-Identifier: Apache-2.0
// control/address.h: where control sockets are: made by the opener, used by clients.
#pragma once

#include <sys/un.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::control {

inline constexpr const char* kFolder = "/run/xfilter";

// /run/xfilter/NAME.sock
std::string path_of(const std::string& name);
// The names of those that are there; they may be left over.
std::vector<std::string> all_names();

Result<sockaddr_un> socket_address(const std::string& path);

// Non-blocking. Takes the place of one that nobody serves any more; already_attached when somebody
// does. Everybody may connect: who is who is looked at then.
Result<Fd> listen_at(const std::string& path);

}  // namespace xfilter::control
