// SPDX-License-Identifier: Apache-2.0
#include "engine/opener_link.h"

#include <poll.h>

namespace xfilter::engine {

bool OpenerLink::lives() const {
  pollfd polled{socket_.number(), POLLIN, 0};
  return ::poll(&polled, 1, 0) == 0;
}

void OpenerLink::tell(MessageType type, const std::string& text) {
  if (lost_ > 0 &&
      try_to_send(MessageType::note,
                  fmt::format("{} events were lost: nobody read them fast enough", lost_)))
    lost_ = 0;
  if (!try_to_send(type, text)) ++lost_;
}

bool OpenerLink::try_to_send(MessageType type, const std::string& text) {
  return send_message(socket_, type, text, Sending::drops_when_full);
}

bool OpenerLink::send_and_wait(MessageType type, const std::string& text) {
  return send_message(socket_, type, text, Sending::waits);
}

void OpenerLink::ask(MessageType type, std::string text, Answer answer) {
  if (text.size() > kLargestText)
    return answer(fail(Errc::input_invalid, "it is larger than {} MiB", kLargestText >> 20));
  unsent_.push_back({type, std::move(text)});
  answers_.push_back(std::move(answer));
  send_some();
}

void OpenerLink::send_some() {
  while (!unsent_.empty() && try_to_send(unsent_.front().type, unsent_.front().text))
    unsent_.pop_front();
}

bool OpenerLink::receive(std::optional<Message>& message) {
  message = receive_message(socket_);
  if (!message) return false;
  if (message->type != MessageType::answer && message->type != MessageType::refusal) return true;
  if (!answers_.empty()) {
    const Answer answer = std::move(answers_.front());
    answers_.pop_front();
    if (message->type == MessageType::answer)
      answer(std::move(message->text));
    else
      answer(fail(Errc::host_refused, "{}", message->text));
  }
  message.reset();
  return true;
}

}  // namespace xfilter::engine
