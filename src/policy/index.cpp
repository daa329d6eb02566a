// SPDX-License-Identifier: Apache-2.0
#include "policy/index.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>

#include "policy/fields.h"
#include "policy/match.h"

namespace xfilter::policy {
namespace {

// A rule with more values than this in a match is not kept under it: each would be an entry.
constexpr std::size_t kMostKeys = 64;

// Never 0.
std::uint64_t key_of(std::uint64_t family, std::uint64_t value) {
  std::uint64_t key = (value ^ family << 56) * 0x9e37'79b9'7f4a'7c15;
  key = (key ^ key >> 32) * 0xd6e8'feb8'6659'fd93;
  return (key ^ key >> 29) | 1;
}
std::uint64_t key_of(std::uint64_t family, std::string_view text) {
  return key_of(family, std::uint64_t{std::hash<std::string_view>{}(text)});
}
std::uint64_t key_of(std::uint64_t family, const packet::IpAddress& address) {
  return key_of(family, std::string_view(reinterpret_cast<const char*>(address.bytes.data()),
                                         address.bytes.size()));
}

// The keys of all values of a match; none when they cannot be counted up.
std::vector<std::uint64_t> keys_of(const Match& match) {
  const Field& field = *match.field;
  std::vector<std::uint64_t> keys;
  // A protocol says little: nearly every rule has one.
  if (match.is_negated || field.side == Side::owner || field.implied || field.word == "proto")
    return keys;
  const std::uint64_t family = property_of(field);
  for (const Range& range : match.ranges) {
    if (range.last - range.first >= kMostKeys) return {};
    for (std::uint64_t value = range.first; value <= range.last; ++value)
      keys.push_back(key_of(family, value));
  }
  for (const Prefix& prefix : match.prefixes) {
    const int longest = prefix.address.family == packet::IpAddress::Family::v4 ? 32 : 128;
    if (prefix.length != longest) return {};
    keys.push_back(key_of(family, prefix.address));
  }
  for (const PidMatch& pid : match.pids)
    keys.push_back(key_of(family, static_cast<std::uint64_t>(pid.pid)));
  for (const std::string& glob : match.globs) {
    if (!is_literal(glob)) return {};
    keys.push_back(key_of(family, std::string_view(glob)));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  if (keys.size() > kMostKeys) keys.clear();
  return keys;
}

}  // namespace

Index::Index(const std::vector<Rule>& rules) {
  std::unordered_map<std::uint64_t, std::size_t> wanted;  // how many rules could be under a key
  for (const Rule& rule : rules)
    for (const Match& match : rule.matches)
      for (const std::uint64_t key : keys_of(match)) ++wanted[key];

  std::map<std::uint64_t, std::vector<std::uint32_t>> by_key;
  for (std::uint32_t at = 0; at < rules.size(); ++at) {
    std::vector<std::uint64_t> best;
    const Match* best_match = nullptr;
    std::size_t best_shared = SIZE_MAX;
    for (const Match& match : rules[at].matches) {
      auto keys = keys_of(match);
      std::size_t shared = 0;
      for (const std::uint64_t key : keys) shared += wanted[key];
      if (keys.empty() || shared >= best_shared) continue;
      best = std::move(keys);
      best_match = &match;
      best_shared = shared;
    }
    if (best_match == nullptr) {
      others_.push_back(at);
      continue;
    }
    for (const std::uint64_t key : best) by_key[key].push_back(at);
    const std::uint64_t family = property_of(*best_match->field);
    if (std::none_of(used_.begin(), used_.end(),
                     [&](const Used& used) { return used.family == family; }))
      used_.push_back({best_match->field, family});
  }

  std::size_t size = 1;
  while (size < 2 * by_key.size() + 1) size *= 2;
  slots_.resize(size);
  for (const auto& [key, list] : by_key) {
    std::size_t slot = key & (size - 1);
    while (slots_[slot].key != 0) slot = (slot + 1) & (size - 1);
    slots_[slot] = {key, static_cast<std::uint32_t>(positions_.size()),
                    static_cast<std::uint32_t>(list.size())};
    positions_.insert(positions_.end(), list.begin(), list.end());
  }
}

std::span<const std::uint32_t> Index::find(std::uint64_t key) const {
  for (std::size_t slot = key & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].key == 0) return {};
    if (slots_[slot].key == key)
      return std::span(positions_).subspan(slots_[slot].first, slots_[slot].count);
  }
}

Index::Candidates::Candidates(const Index& index, const Subject& subject) {
  add(index.others_);
  const auto look_up = [&](std::uint64_t key) { add(index.find(key)); };
  for (const auto& [field, family] : index.used_) {
    if (!field->is_guest_side()) {
      if (field->number_of_packet != nullptr) {
        if (const auto number = field->number_of_packet(subject))
          look_up(key_of(family, std::uint64_t{*number}));
      } else if (field->address_of_packet != nullptr) {
        if (const auto* address = field->address_of_packet(subject))
          look_up(key_of(family, *address));
      } else if (const auto text = field->text_of_packet(subject)) {
        look_up(key_of(family, *text));
      }
      continue;
    }
    const model::Owner& owner = subject.owner;
    if (owner.processes.empty() && field->number_of_nobody != nullptr)
      if (const auto number = field->number_of_nobody(owner))
        look_up(key_of(family, std::uint64_t{*number}));
    for (const model::ProcessRef& process : owner.processes) {
      if (field->kind == ValueKind::pid) {
        look_up(key_of(family, static_cast<std::uint64_t>(process->id.pid)));
        if (!field->with_ancestors) continue;
        for (const model::Ancestor& parent : process->parents)
          look_up(key_of(family, static_cast<std::uint64_t>(parent.id.pid)));
      } else if (field->number_of_process != nullptr) {
        if (const auto number = field->number_of_process(*process))
          look_up(key_of(family, std::uint64_t{*number}));
      } else {
        std::string scratch;
        if (const auto text = field->text_of_process(*process, scratch))
          look_up(key_of(family, *text));
      }
    }
  }
}

void Index::Candidates::add(std::span<const std::uint32_t> list) {
  if (!list.empty()) lists_.push_back(list);
}

std::optional<std::size_t> Index::Candidates::next() {
  std::uint32_t least = UINT32_MAX;
  for (const auto& list : lists_) least = std::min(least, list.front());
  if (least == UINT32_MAX) return std::nullopt;
  // A rule can be in several lists: two holders have its uid, say.
  std::erase_if(lists_, [&](auto& list) {
    if (list.front() == least) list = list.subspan(1);
    return list.empty();
  });
  return least;
}

}  // namespace xfilter::policy
