// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/shared_ip_ids.h"

#include <array>
#include <cstring>

#include "guest/linux/siphash.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::uint32_t kMostCounters = 1 << 18;  // ip_rt_init() makes no more

// siphash_3u32(daddr, saddr, protocol) of __ip_select_ident(), net/ipv4/route.c.
std::uint32_t hash_of(const packet::Flow& flow, const SiphashKey& key) {
  std::array<std::byte, 12> words{};
  std::memcpy(words.data(), flow.dst.bytes.data(), 4);
  std::memcpy(words.data() + 4, flow.src.bytes.data(), 4);
  words[8] = std::byte{flow.protocol};
  return static_cast<std::uint32_t>(siphash(words, key));
}

}  // namespace

SharedIpIds::SharedIpIds(const View& view)
    : view_(&view),
      counters_(view.profile().symbols.find("ip_idents")),
      mask_(view.profile().symbols.find("ip_idents_mask")) {}

Result<std::optional<std::uint16_t>> SharedIpIds::next(VirtAddr net,
                                                       const packet::Flow& flow) const {
  if (!counters_ || !mask_ || flow.src.family != packet::IpAddress::Family::v4) return std::nullopt;
  XF_TRY(counters, view_->space().read_pointer(*counters_));
  XF_TRY(mask, view_->space().read_value<std::uint32_t>(*mask_));
  if (mask >= kMostCounters || ((mask + 1) & mask) != 0)
    return fail(Errc::guest_data_invalid, "ip_idents_mask at {}: {:#x} is not a mask of at most {}",
                *mask_, mask, kMostCounters);
  XF_TRY(words, (view_->read<std::array<std::uint64_t, 2>>(net, view_->layout().net_ip_id_key)));
  const std::uint32_t slot = hash_of(flow, SiphashKey{words[0], words[1]}) & mask;
  XF_TRY(next, view_->space().read_value<std::uint32_t>(counters + std::uint64_t{slot} *
                                                                       sizeof(std::uint32_t)));
  return static_cast<std::uint16_t>(next);
}

}  // namespace xfilter::guest::linux
