// SPDX-License-Identifier: Apache-2.0
// attribution/tcp_window.h: could this very socket have sent this TCP packet?
#pragma once

#include "guest/linux/socket.h"
#include "packet/parse.h"

namespace xfilter::attribution {

// Whether the packet's sequence and acknowledgement numbers are such that the connection could have
// sent it a moment before `window` was read. Says no to what only a forger or a dying connection
// sends: a reset.
bool fits_window(const packet::Packet& packet, const guest::linux::TcpWindow& window);

}  // namespace xfilter::attribution
