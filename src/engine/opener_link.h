// SPDX-License-Identifier: Apache-2.0
// engine/opener_link.h: the agent's end of the link to its opener. Never waits.
//
// Events and notes that find no room are dropped, counted, and said to be lost when there is room
// again. Questions wait for room here; answers come in the order of the questions. Threads: one.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "engine/agent_link.h"

namespace xfilter::engine {

class OpenerLink {
 public:
  using Answer = std::function<void(Result<std::string>)>;

  explicit OpenerLink(Fd socket) : socket_(std::move(socket)) {}

  int descriptor() const { return socket_.number(); }
  bool has_unsent() const { return !unsent_.empty(); }
  bool lives() const;

  void tell(MessageType type, const std::string& text);  // event, note
  // False when there was no room: try again later.
  bool try_to_send(MessageType type, const std::string& text);
  // For first and last words: waits until it is sent.
  bool send_and_wait(MessageType type, const std::string& text);

  void ask(MessageType type, std::string text, Answer answer);
  void send_some();  // of what waits for room

  // The next message that is no answer; answers are handed over on the way. Call when the
  // descriptor is readable. Nothing in `message`: an answer came. False: the opener is gone.
  bool receive(std::optional<Message>& message);

 private:
  struct Question {
    MessageType type;
    std::string text;
  };
  Fd socket_;
  std::deque<Question> unsent_;
  std::deque<Answer> answers_;
  std::uint64_t lost_ = 0;  // events and notes since the last that was taken
};

}  // namespace xfilter::engine
