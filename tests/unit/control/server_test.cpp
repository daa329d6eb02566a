// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace xfilter::control {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

class ServerTest : public ::testing::Test {
 protected:
  // What a client has in his hands.
  struct Peer {
    Fd socket;
    std::string received;

    void send(const std::string& text) const {
      for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t now = ::send(socket.number(), text.data() + sent, text.size() - sent,
                                   MSG_DONTWAIT | MSG_NOSIGNAL);
        if (now <= 0) return;
        sent += static_cast<std::size_t>(now);
      }
    }
    void take() {
      char buffer[65536];
      ssize_t got;
      while ((got = ::recv(socket.number(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        received.append(buffer, static_cast<std::size_t>(got));
      is_closed = got == 0;
    }
    bool is_closed = false;
  };

  Peer connect(Role role = Role::operates) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server_.add_client(Fd(ends[0]), role, "uid 7");
    return {Fd(ends[1]), "", false};
  }
  void serve(int turns = 3) {
    for (int i = 0; i < turns; ++i) server_.serve(now_ += std::chrono::milliseconds(100));
  }
  std::string answer(Peer& peer) {
    serve();
    peer.take();
    return std::exchange(peer.received, "");
  }

  steady_clock::time_point now_ = steady_clock::now();
  std::vector<Request> requests_;
  bool answers_at_once_ = true;
  Server server_{Fd(), {}, [this](Request request) {
                   if (answers_at_once_)
                     server_.reply(request.client, {{"ok", true}, {"got", request.body}});
                   requests_.push_back(std::move(request));
                 }};
};

TEST_F(ServerTest, ARequestIsHandledWithItsRoleAndAnswered) {
  auto peer = connect(Role::reads);
  peer.send("{\"do\":\"status\"}\n");
  EXPECT_EQ(answer(peer), "{\"ok\":true,\"got\":{\"do\":\"status\"}}\n");
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].role, Role::reads);
  EXPECT_EQ(requests_[0].who, "uid 7");
}

TEST_F(ServerTest, RequestsMayComeInPieces) {
  auto peer = connect();
  peer.send("{\"do\":");
  EXPECT_EQ(answer(peer), "");
  peer.send("1}\n\n{\"do\":2}\n");
  EXPECT_EQ(answer(peer), "{\"ok\":true,\"got\":{\"do\":1}}\n{\"ok\":true,\"got\":{\"do\":2}}\n");
}

TEST_F(ServerTest, TheNextRequestWaitsForTheAnswerToTheFirst) {
  answers_at_once_ = false;
  auto peer = connect();
  peer.send("{\"n\":1}\n{\"n\":2}\n");
  EXPECT_EQ(answer(peer), "");
  ASSERT_EQ(requests_.size(), 1u);
  server_.reply(requests_[0].client, {{"ok", true}});
  EXPECT_EQ(answer(peer), "{\"ok\":true}\n");
  EXPECT_EQ(requests_.size(), 2u);
}

TEST_F(ServerTest, WhoAsksWithoutEndGetsOneAnswerATurnAndOthersAreServedBetween) {
  auto greedy = connect(Role::reads);
  auto other = connect();
  std::string many;
  for (int i = 0; i < 1'000; ++i) many += "{\"n\":1}\n";
  greedy.send(many);
  other.send("{\"n\":2}\n");
  serve(1);
  EXPECT_LE(requests_.size(), 1u);
  EXPECT_TRUE(server_.has_requests());
  serve(2);
  other.take();
  EXPECT_NE(other.received, "");
  EXPECT_LE(requests_.size(), 4u);
}

TEST_F(ServerTest, WhoAsksAndNeverTakesTheAnswersIsLeftAndPilesNothingUp) {
  auto peer = connect(Role::reads);
  const std::string request = "{\"x\":\"" + std::string(60'000, 'x') + "\"}\n";
  for (int i = 0; i < 200; ++i) {
    peer.send(request);
    serve(2);
  }
  EXPECT_LT(requests_.size(), 30u);  // as many answers as its socket holds
  EXPECT_EQ(server_.clients(), 0u);
}

TEST_F(ServerTest, WhoHasSaidAllStillGetsAllItsAnswers) {
  auto peer = connect();
  peer.send("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
  ::shutdown(peer.socket.number(), SHUT_WR);
  serve(10);
  peer.take();
  EXPECT_EQ(std::count(peer.received.begin(), peer.received.end(), '\n'), 3);
  EXPECT_TRUE(peer.is_closed);
  EXPECT_EQ(server_.clients(), 0u);
}

TEST_F(ServerTest, GarbageGetsAnErrorAndTheConnectionStays) {
  auto peer = connect();
  for (const std::string& garbage :
       std::vector<std::string>{"garbage", "[1]", "{\"do\":", "\xff\xfe", "7", "\"x\"",
                                std::string(60'000, '['), "{\"do\":" + std::string(30'000, '[')}) {
    peer.send(garbage + "\n");
    EXPECT_THAT(answer(peer), HasSubstr("expected a JSON object on one line")) << garbage;
  }
  peer.send("{}\n");
  EXPECT_THAT(answer(peer), HasSubstr("true"));
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(ServerTest, ARequestThatNeverEndsIsRefusedAndItsClientLeft) {
  for (const auto& [role, largest] :
       {std::pair(Role::reads, kLargestReadersRequest), {Role::operates, kLargestRequest}}) {
    auto peer = connect(role);
    std::string received;
    for (std::size_t sent = 0; sent <= largest + (1 << 20) && !peer.is_closed; sent += 65536) {
      peer.send(std::string(65536, 'x'));
      serve();
      peer.take();
    }
    EXPECT_THAT(peer.received, HasSubstr(fmt::format("more than {} KiB", largest >> 10)));
    EXPECT_TRUE(peer.is_closed);
    EXPECT_EQ(server_.clients(), 0u);
  }
}

TEST_F(ServerTest, AClientThatStallsInTheMiddleIsLeftAndAnIdleOneIsNot) {
  auto stalled = connect();
  auto idle = connect();
  stalled.send("{\"do\"");
  serve();
  now_ += kLongestStall + std::chrono::seconds(1);
  serve();
  EXPECT_EQ(server_.clients(), 1u);
  idle.send("{}\n");
  EXPECT_THAT(answer(idle), HasSubstr("true"));
}

TEST_F(ServerTest, AClientThatDoesNotTakeItsAnswersIsLeft) {
  auto peer = connect();
  const std::string large = "{\"x\":\"" + std::string(1 << 20, 'x') + "\"}\n";
  for (int i = 0; i < 40; ++i) {
    peer.send(large);
    serve(40);
  }
  EXPECT_EQ(server_.clients(), 1u);
  now_ += kLongestStall + std::chrono::seconds(1);
  serve();
  EXPECT_EQ(server_.clients(), 0u);
}

TEST_F(ServerTest, EventsThatASubscriberDoesNotTakeAreCountedAndItIsToldWhenThereIsRoom) {
  auto slow = connect(Role::reads);
  auto other = connect(Role::reads);
  slow.send("{}\n");
  serve();
  server_.subscribe(requests_[0].client);
  const std::string event = "{\"event\":\"" + std::string(1000, 'e') + "\"}";
  for (int i = 0; i < 2'000; ++i) {
    server_.publish(event);
    if (i % 100 == 0) serve(1);
  }
  now_ += kLongestStall * 2;  // a subscriber may be slow as long as it likes
  serve();
  ASSERT_EQ(server_.clients(), 2u);
  for (int i = 0; i < 20; ++i) {
    serve();
    slow.take();
  }
  server_.publish("{\"event\":\"last\"}");
  serve();
  slow.take();
  std::size_t events = 0, lost = 0;
  std::istringstream lines(slow.received);
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = json::parse(line);
    if (parsed.contains("event")) ++events;
    if (parsed.value("event_type", "") == "lost") lost += parsed["events"].get<std::size_t>();
  }
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(events + lost, 2'001u);
  other.take();
  EXPECT_EQ(other.received, "");
}

TEST_F(ServerTest, AnAnswerToAClientThatWentIsNobodys) {
  answers_at_once_ = false;
  {
    auto peer = connect();
    peer.send("{}\n");
    serve();
  }
  answers_at_once_ = true;
  auto other = connect();
  other.send("{}\n");
  serve();
  server_.reply(requests_[0].client, {{"ok", true}, {"secret", 1}});
  EXPECT_THAT(answer(other), ::testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace xfilter::control
