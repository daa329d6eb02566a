// SPDX-License-Identifier: Apache-2.0
#include "engine/packet_path.h"

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

// How old the proof may be that the guest's kernel is the one we know. A reboot takes longer.
constexpr std::chrono::nanoseconds kCheckInterval = 20ms;
// How often to look for a kernel that is not there (yet): each look costs tens of milliseconds.
constexpr std::chrono::nanoseconds kSearchInterval = 250ms;

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

PacketPath::PacketPath(Guest& guest, const policy::Policy& policy, CommandLines command_lines,
                       Line on_event, Line on_note)
    : guest_(guest),
      policy_(policy),
      command_lines_(command_lines),
      on_event_(std::move(on_event)),
      on_note_(std::move(on_note)),
      flows_(kMostFlows) {}

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

  // 0. Is what we know of the guest still true? It may have rebooted.
  if (began - checked_ > (guest_.is_found() ? kCheckInterval : kSearchInterval)) watch_guest();

  // 1. What is it?
  const Packet packet = packet::parse_frame(held.frame);
  const JudgedFlow* known = flows_.find(packet.flow);

  // 2. Who sent it? The sender waits for nothing: its packet is here, its kernel runs on.
  const Owner owner = find_owner(packet);

  // 3. What do the rules say?
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(began - loaded_);
  const Verdict verdict = policy_.decide({packet, owner, queue.netdev()}, age);

  // 4. Tell, if it is news.
  const std::size_t rules_digest = digest_of(verdict);
  const bool is_news = known == nullptr || is_new_connection(packet) || verdict.rule->is_logged ||
                       known->action != verdict.action || known->rules_digest != rules_digest ||
                       (owner.is_attributed() && known->owner_digest != digest_of(owner));
  if (is_news)
    on_event_(verdict_event(
        std::chrono::system_clock::now(),
        {packet, queue.netdev(), owner, verdict, std::chrono::steady_clock::now() - began},
        command_lines_));

  // 5. Spare the flow's next packets the way. Before the release: what follows must not overtake.
  remember(queue, packet, owner, verdict, rules_digest);

  // 6. Let it go on, or end it here.
  if (verdict.action == Action::pass)
    queue.release(held);
  else
    queue.discard(held);
}

Owner PacketPath::find_owner(const Packet& packet) {
  if (!attributor_) return model::unknown_owner("the guest's kernel is being looked for");
  return attributor_->attribute(packet);
}

void PacketPath::remember(PuntQueue& queue, const Packet& packet, const Owner& owner,
                          const Verdict& verdict, std::size_t rules_digest) {
  // All fragments between two hosts are one flow, but each datagram has an owner of its own.
  if (packet.kind == packet::Kind::fragment) return;
  const auto lifetime = lifetime_of(packet, owner);
  if (verdict.action == Action::pass)
    queue.pass_from_now_on(packet.flow, lifetime);
  else
    queue.drop_from_now_on(packet.flow, lifetime);
  const auto evicted = flows_.put({packet.flow, digest_of(owner), verdict.action, rules_digest});
  if (!evicted) return;
  for (PuntQueue& any : queues_) any.forget(*evicted);
}

void PacketPath::observe_guest() {
  if (attributor_) attributor_->observe_processes();
}

void PacketPath::watch_guest() {
  checked_ = std::chrono::steady_clock::now();
  if (guest_.is_found()) {
    auto holds = guest_.check();
    if (!holds) lose_guest(holds.error());
  }
  // Also right after it was lost: a machine that was put back to a snapshot runs already.
  if (!guest_.is_found() && guest_.find())
    on_note_("the guest's kernel: " + guest_.view().profile().banner);
  if (guest_.is_found() && !attributor_)
    attributor_ =
        std::make_unique<attribution::Attributor>(guest_.view(), [this] { guest_.begin_lookup(); });
}

// A reboot, most likely. Nothing that was said about the old kernel's processes may count any
// longer.
void PacketPath::lose_guest(const Error& error) {
  attributor_.reset();
  flows_.clear();
  for (PuntQueue& queue : queues_) queue.begin_generation();
  on_note_("the guest's kernel is gone, looking for it again: " + error.message);
}

}  // namespace xfilter::engine
