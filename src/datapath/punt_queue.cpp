// SPDX-License-Identifier: Apache-2.0
#include "datapath/punt_queue.h"

#include <bpf/bpf.h>
#include <poll.h>

#include <algorithm>
#include <ctime>

namespace xfilter::datapath {
namespace {

// The largest frame a tap can carry (a segmented packet of 64 KiB), its headers and the vnet
// header.
constexpr std::size_t kLargestPacket = 65'536 + 256;
// sizeof(struct virtio_net_hdr): what a tap uses unless told otherwise (TUNSETVNETHDRSZ).
constexpr std::size_t kVnetHeader = 10;
constexpr std::uint32_t kZero = 0;
constexpr std::size_t kMostUnsettled = 65'536;

std::uint64_t boottime_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t after(std::chrono::nanoseconds time) {
  return boottime_ns() + static_cast<std::uint64_t>(time.count());
}

void write_address(const packet::IpAddress& address, std::uint8_t (&into)[16]) {
  if (address.family == packet::IpAddress::Family::v6) {
    std::copy(address.bytes.begin(), address.bytes.end(), into);
    return;
  }
  into[10] = into[11] = 0xff;
  std::copy(address.bytes.begin(), address.bytes.begin() + 4, into + 12);
}

}  // namespace

xf_flow key_of(const packet::Flow& flow) {
  xf_flow key{};
  write_address(flow.src, key.src);
  write_address(flow.dst, key.dst);
  key.src_port = __builtin_bswap16(flow.src_port);
  key.dst_port = __builtin_bswap16(flow.dst_port);
  key.vlan = flow.vlan;
  key.protocol = flow.protocol;
  return key;
}

PuntQueue::PuntQueue(AgentHandles handles, std::string netdev)
    : handles_(std::move(handles)), netdev_(std::move(netdev)), buffer_(kLargestPacket) {
  bpf_map_lookup_elem(handles_.agent.number(), &kZero, &agent_);
}

std::optional<PuntQueue::HeldPacket> PuntQueue::receive() {
  const ssize_t got = ::read(handles_.punt_tap.number(), buffer_.data(), buffer_.size());
  if (got <= static_cast<ssize_t>(kVnetHeader)) return std::nullopt;
  unreturned_ = true;
  const std::span<const std::byte> whole(buffer_.data(), static_cast<std::size_t>(got));
  return HeldPacket{whole.subspan(kVnetHeader), whole};
}

void PuntQueue::release(const HeldPacket& packet) {
  // What the kernel does not take is lost, and found missing by settle().
  (void)!::write(handles_.punt_tap.number(), packet.whole.data(), packet.whole.size());
}

void PuntQueue::discard(const HeldPacket&) {
  ++agent_.settled;
  write_agent();
}

void PuntQueue::pass_from_now_on(const packet::Flow& flow,
                                 std::chrono::nanoseconds judge_again_after) {
  const xf_flow key = key_of(flow);
  xf_pass pass{};
  bpf_map_lookup_elem(handles_.verdicts.number(), &key, &pass);  // keeps `lost`
  pass.judge_again_ns = after(judge_again_after);
  pass.generation = agent_.generation;
  bpf_map_delete_elem(handles_.drops.number(), &key);
  if (bpf_map_update_elem(handles_.verdicts.number(), &key, &pass, BPF_ANY) != 0) {
    ++map_full_;
    return;
  }
  // More than the kernel's map could hold would be flows that it has forgotten again.
  if (unsettled_.size() < kMostUnsettled) unsettled_.push_back(key);
}

void PuntQueue::drop_from_now_on(const packet::Flow& flow,
                                 std::chrono::nanoseconds judge_again_after) {
  const xf_flow key = key_of(flow);
  const xf_drop drop{after(judge_again_after), agent_.generation, 0};
  if (bpf_map_update_elem(handles_.drops.number(), &key, &drop, BPF_ANY) != 0) ++map_full_;
  bpf_map_delete_elem(handles_.verdicts.number(), &key);
}

void PuntQueue::forget(const packet::Flow& flow) {
  const xf_flow key = key_of(flow);
  bpf_map_delete_elem(handles_.verdicts.number(), &key);
  bpf_map_delete_elem(handles_.drops.number(), &key);
  bpf_map_delete_elem(handles_.held.number(), &key);
}

void PuntQueue::begin_generation() {
  ++agent_.generation;
  write_agent();
}

bool PuntQueue::is_empty() const {
  pollfd tap{handles_.punt_tap.number(), POLLIN, 0};
  return ::poll(&tap, 1, 0) == 0;
}

void PuntQueue::settle() {
  struct Gap {
    xf_flow key;
    std::uint32_t missing;
  };
  std::vector<Gap> gaps;
  for (const xf_flow& key : unsettled_) {
    xf_held held{};
    if (bpf_map_lookup_elem(handles_.held.number(), &key, &held) == 0)
      gaps.push_back({key, held.punted - held.released});  // may wrap, as the gate's own sum does
  }
  const xf_counters seen = counters();
  // Only if nothing has come meanwhile is everything that was counted above either back or lost.
  if (!is_empty()) return;
  unsettled_.clear();
  unreturned_ = false;
  for (const Gap& gap : gaps) {
    xf_pass pass{};
    if (bpf_map_lookup_elem(handles_.verdicts.number(), &gap.key, &pass) != 0 ||
        pass.lost == gap.missing)
      continue;
    pass.lost = gap.missing;
    bpf_map_update_elem(handles_.verdicts.number(), &gap.key, &pass, BPF_EXIST);
  }
  const std::uint64_t never_back = seen.punted - seen.released;
  if (never_back == agent_.settled) return;
  lost_ += never_back - agent_.settled;
  agent_.settled = never_back;
  write_agent();
}

void PuntQueue::write_agent() {
  bpf_map_update_elem(handles_.agent.number(), &kZero, &agent_, BPF_ANY);
}

xf_counters PuntQueue::counters() const {
  xf_counters counters{};
  bpf_map_lookup_elem(handles_.counters.number(), &kZero, &counters);
  return counters;
}

}  // namespace xfilter::datapath
