// SPDX-License-Identifier: Apache-2.0
// policy/asked.h: a packet and its owner as a person writes them, to ask what would happen.
//
//   tcp 10.0.0.2:4711 10.0.0.1:25 [flags=02] [vlan=5] [iface=tap0] [fragment] [age=600]
//   pid=7@3.25 uid=33 exe=/bin/x parent=1@0.5:/sbin/init & pid=8 ...
//   nobody [socket_uid=33]
//
// `age` is for how many seconds the rules have been loaded; several processes are holders.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/rule.h"

namespace xfilter::policy {

struct Asked {
  packet::Packet packet;
  model::Owner owner;
  std::string netdev = "tap0";
  std::chrono::seconds age{0};

  Subject subject() const { return {packet, owner, netdev}; }

  // input_invalid names the word that is wrong, and what can stand there.
  static Result<Asked> parse(const std::string& packet, const std::string& owner);
};

}  // namespace xfilter::policy
