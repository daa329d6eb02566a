// SPDX-License-Identifier: Apache-2.0
// engine/control.h: messages between the opener and its agent, over a SOCK_SEQPACKET pair.
//
// The agent may be in the hands of an attacker, so what it says is text to pass on, bounded, and
// never an instruction. What the opener sends are descriptors. Nobody waits for a slow reader: an
// event that does not fit into the socket's buffer is dropped and counted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::engine {

enum class MessageType : char {
  // agent to opener
  ready = 'r',   // the guest's kernel was found; text: its banner
  failed = 'f',  // the agent cannot work and ends; text: why
  event = 'e',   // one JSON line for the event log
  note = 'n',    // something a person should know
  // opener to agent
  netdev = 'd',  // text: its name; descriptors: datapath::AgentHandles, in order
};

inline constexpr std::size_t kLargestMessage = 16 << 10;

struct Message {
  MessageType type = MessageType::note;
  std::string text;
  std::vector<Fd> descriptors;
};

struct ControlPair {
  Fd opener, agent;
};
Result<ControlPair> make_control_pair();

enum class Sending { waits, drops_when_full };
// False when it was dropped, or the other side is gone.
bool send_message(const Fd& socket, MessageType type, const std::string& text, Sending sending,
                  const std::vector<int>& descriptors = {});

// Nothing when the other side is gone. Waits for a message otherwise.
std::optional<Message> receive_message(const Fd& socket);

}  // namespace xfilter::engine
