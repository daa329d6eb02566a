// SPDX-License-Identifier: Apache-2.0
// The control socket, and what follows from it: the input is what a client sends. Its first byte
// says who it is. Rules that are added are parsed, as entries of a store and over the wire too.
#include <sys/socket.h>

#include "control/server.h"
#include "engine/rulebook.h"
#include "store/wire.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xfilter;
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto role = (*data & 1) != 0 ? control::Role::operates : control::Role::reads;

  static const auto empty = engine::Rulebook::of({}, {}, {}).value();
  control::Server* answering = nullptr;
  std::size_t requests = 0, answers = 0;
  control::Server server(Fd(), {}, [&](control::Request request) {
    ++requests;
    fuzz::expect(request.role == role && request.body.is_object(), "a request of another's");
    const auto rule = request.body.find("rule");
    if (rule != request.body.end() && rule->is_string()) {
      const auto book = empty.with_rule(rule->get<std::string>(), "uid 0", "why", {}, {});
      if (book) {
        const auto change = engine::Rulebook::difference(empty, *book);
        const auto sent = store::decode_change(store::encode(change)).value();
        const auto again = engine::Rulebook::of({1, 2, sent.put}, {}, {}).value();
        fuzz::expect(again.policy()->rules().size() == 1, "a rule was lost in the store");
      } else {
        fuzz::expect(!book.error().message.empty(), "refused without a reason");
      }
    }
    answering->reply(request.client, {{"ok", true}});
  });
  answering = &server;
  int ends[2];
  fuzz::expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  const Fd client(ends[1]);
  server.add_client(Fd(ends[0]), role, "uid 7");
  (void)!::send(client.number(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  for (int turn = 0; turn < 4; ++turn) server.serve();
  char buffer[65536];
  for (ssize_t got; (got = ::recv(client.number(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0;)
    answers += static_cast<std::size_t>(std::count(buffer, buffer + got, '\n'));
  fuzz::expect(answers >= requests || answers > 100, "a request without an answer");

  // An agent in an attacker's hands says this to its opener.
  (void)store::decode_change(bytes);
  (void)store::decode_uses(bytes);
  (void)store::decode_version(bytes);
  (void)store::decode_history(bytes);
  return 0;
}
