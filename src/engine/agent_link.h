// SPDX-License-Identifier: Apache-2.0
// engine/agent_link.h: messages between the opener and its agent, over a SOCK_SEQPACKET pair.
//
// The agent may be in the hands of an attacker, so what it says is text to pass on or to keep,
// bounded, and never an instruction. Nobody waits for a slow reader: an event that does not fit
// into the socket's buffer is dropped and counted. Texts beyond kLargestInline travel in a sealed
// memfd.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::engine {

enum class MessageType : char {
  // agent to opener
  ready = 'r',   // the guest's kernel was found; text: what is in force
  failed = 'f',  // the agent cannot work and ends; text: why
  event = 'e',   // one JSON line for the event log
  note = 'n',    // something a person should know
  uses = 'u',    // store::encode of what rules did
  // agent to opener, each answered by `answer` or `refusal`, in order. Texts are store::encode's.
  commit = 'c',   // a store::Change
  version = 'v',  // the number of a change, or nothing
  history = 'h',  // how many
  // opener to agent
  netdev = 'd',   // text: its name; descriptors: datapath::AgentHandles, in order
  answer = 'a',   // what was asked for
  refusal = 'x',  // why not
};

inline constexpr std::size_t kLargestInline = 16 << 10;
inline constexpr std::size_t kLargestText = 64 << 20;

struct Message {
  MessageType type = MessageType::note;
  std::string text;
  std::vector<Fd> descriptors;
};

struct LinkPair {
  Fd opener, agent;
};
Result<LinkPair> make_link();

enum class Sending { waits, drops_when_full };
// False when it was dropped, is too large, or the other side is gone.
bool send_message(const Fd& socket, MessageType type, const std::string& text, Sending sending,
                  const std::vector<int>& descriptors = {});

// Nothing when the other side is gone, or sends what is no message. Waits for a message otherwise.
std::optional<Message> receive_message(const Fd& socket);

}  // namespace xfilter::engine
