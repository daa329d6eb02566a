// SPDX-License-Identifier: Apache-2.0
#include "engine/packet_path.h"

#include <ctime>

#include "engine/event.h"

namespace xfilter::engine {

using datapath::PuntQueue;
using model::Action;
using model::Owner;
using packet::Packet;
using policy::Verdict;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kMostFlows = 32'768;  // half of what the kernel's maps hold
constexpr int kPacketsPerTurn = 64;         // then the other queues and the guest get their turn

// How long the kernel may act on a verdict without asking again. A connection's owner changes when
// the socket is passed on; a datagram's when the port is bound anew, of which no packet tells.
constexpr std::chrono::nanoseconds kTcp = 5s;
constexpr std::chrono::nanoseconds kOther = 1s;
constexpr std::chrono::nanoseconds kUnattributed = 200ms;  // perhaps the next look finds somebody

bool is_new_connection(const Packet& packet) {
  constexpr auto kSynAck = packet::TcpFlags::syn | packet::TcpFlags::ack;
  return packet.flow.protocol == packet::protocol::tcp &&
         (packet.tcp_flags & kSynAck) == packet::TcpFlags::syn;
}

std::chrono::nanoseconds lifetime_of(const Packet& packet, const Owner& owner) {
  if (!owner.is_attributed()) return kUnattributed;
  return packet.flow.protocol == packet::protocol::tcp ? kTcp : kOther;
}

std::size_t digest_of(const Owner& owner) {
  std::size_t digest = owner.processes.size();
  const auto add = [&](std::size_t value) { digest = digest * 0x9e37'79b9'7f4a'7c15 + value; };
  for (const model::ProcessRef& process : owner.processes) {
    add(static_cast<std::size_t>(process->id.pid));
    add(static_cast<std::size_t>(process->id.start_boottime.count()));
    add(process->uid);
    add(process->is_hidden ? 1 : 0);
    add(std::hash<std::string>{}(process->exe));
  }
  return digest;
}

std::size_t digest_of(const Verdict& verdict) {
  std::size_t digest = 0;
  const auto add = [&](const policy::Rule& rule) {
    digest = digest * 0x9e37'79b9'7f4a'7c15 + std::hash<std::string>{}(rule.place.file);
    digest = digest * 0x9e37'79b9'7f4a'7c15 + static_cast<std::size_t>(rule.place.line);
  };
  add(*verdict.rule);
  for (const policy::Rule* rule : verdict.observed) add(*rule);
  return digest;
}

}  // namespace

std::chrono::seconds rule_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec);
}

PacketPath::PacketPath(OwnerOf owner_of, CommandLines command_lines, Line on_event)
    : owner_of_(std::move(owner_of)),
      command_lines_(command_lines),
      on_event_(std::move(on_event)),
      flows_(kMostFlows) {}

PacketPath::JudgedAgain PacketPath::put_in_force(std::shared_ptr<const policy::Policy> policy,
                                                 Mode mode) {
  policy_ = std::move(policy);
  mode_ = mode;
  hits_.assign(policy_->rules().size() + 1, 0);
  JudgedAgain again;
  for (const JudgedFlow& flow : flows_.all()) {
    ++again.flows;
    const Verdict verdict = policy_->decide({flow.packet, flow.owner, flow.netdev}, rule_clock());
    if (done_of(verdict) == flow.action) continue;
    ++again.changed;
    for (PuntQueue& queue : queues_) queue.forget(flow.packet.flow);
  }
  return again;
}

bool PacketPath::serve(PuntQueue& queue) {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const auto held = queue.receive();
    if (!held) return i > 0;
    handle(queue, *held);
  }
  return true;
}

// The life of a packet that the kernel held for us.
void PacketPath::handle(PuntQueue& queue, const PuntQueue::HeldPacket& held) {
  const auto began = std::chrono::steady_clock::now();

  // 1. What is it?
  const Packet packet = packet::parse_frame(held.frame);

  // 2. Who sent it? The sender waits for nothing: its packet is here, its kernel runs on.
  Owner owner = owner_of_(packet);

  // 3. What do the rules say, and is it done?
  const Verdict verdict = policy_->decide({packet, owner, queue.netdev()}, rule_clock());
  const Action action = done_of(verdict);
  count(verdict, action);

  // 4. Tell, if it is news.
  const JudgedFlow* known = flows_.find(packet.flow);
  const std::size_t rules_digest = digest_of(verdict);
  const bool is_news = known == nullptr || is_new_connection(packet) || verdict.rule->is_logged ||
                       known->action != action || known->rules_digest != rules_digest ||
                       (owner.is_attributed() && digest_of(known->owner) != digest_of(owner));
  if (is_news)
    on_event_(verdict_event(
        std::chrono::system_clock::now(),
        {packet, queue.netdev(), owner, verdict, mode_, std::chrono::steady_clock::now() - began},
        command_lines_));

  // 5. Spare the flow's next packets the way. Before the release: what follows must not overtake.
  remember(queue, packet, std::move(owner), action, rules_digest);

  // 6. Let it go on, or end it here.
  if (action == Action::pass)
    queue.release(held);
  else
    queue.discard(held);
}

Action PacketPath::done_of(const Verdict& verdict) const {
  return mode_ == Mode::observe ? Action::pass : verdict.action;
}

void PacketPath::count(const Verdict& verdict, Action action) {
  const auto hit = [&](const policy::Rule* rule) {
    ++hits_[rule == &policy_->by_default()
                ? policy_->rules().size()
                : static_cast<std::size_t>(rule - policy_->rules().data())];
  };
  hit(verdict.rule);
  for (const policy::Rule* rule : verdict.observed) hit(rule);
  ++(action == Action::pass ? counters_.passed : counters_.dropped);
  if (action != verdict.action) ++counters_.would_drop;
}

void PacketPath::remember(PuntQueue& queue, const Packet& packet, Owner owner, Action action,
                          std::size_t rules_digest) {
  // All fragments between two hosts are one flow, but each datagram has an owner of its own.
  if (packet.kind == packet::Kind::fragment) return;
  if (caching_ == Caching::on) {
    const auto lifetime = lifetime_of(packet, owner);
    if (action == Action::pass)
      queue.pass_from_now_on(packet.flow, lifetime);
    else
      queue.drop_from_now_on(packet.flow, lifetime);
  }
  const auto evicted = flows_.put({packet, std::move(owner), queue.netdev(), action, rules_digest});
  if (!evicted) return;
  for (PuntQueue& any : queues_) any.forget(*evicted);
}

void PacketPath::begin_generation() {
  flows_.clear();
  for (PuntQueue& queue : queues_) queue.begin_generation();
}

}  // namespace xfilter::engine
