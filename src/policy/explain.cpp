// SPDX-License-Identifier: Apache-2.0
#include "policy/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/match.h"

namespace xfilter::policy {
namespace {

using model::Process;

std::string number_text(const Field& field, std::uint32_t number) {
  if (field.words.size() > number) return std::string(field.words[number]);
  if (field.kind == ValueKind::tcp_flags) return fmt::format("{:#04x}", number);
  return std::to_string(number);
}

std::string is_text(const Field& field, const std::optional<std::uint32_t>& number) {
  if (!number) return fmt::format("there is no {}", field.word);
  if (field.implied) {
    if (field.number_of_packet != nullptr)
      return fmt::format("the protocol is {}",
                         packet::protocol_name(static_cast<std::uint8_t>(*number)));
    return fmt::format("it is {}{}", *number == *field.implied ? "" : "not ", field.word);
  }
  return fmt::format("{} is {}", field.word, number_text(field, *number));
}

std::string is_text(const Field& field, const std::optional<std::string_view>& text) {
  if (!text) return fmt::format("there is no {}", field.word);
  return text->empty() ? fmt::format("{} is empty", field.word)
                       : fmt::format("{} is {}", field.word, *text);
}

std::string found_in_packet(const Field& field, const Subject& subject) {
  if (field.address_of_packet != nullptr) {
    const auto* address = field.address_of_packet(subject);
    return address == nullptr ? "it is not an IP packet"
                              : fmt::format("{} is {}", field.word, packet::to_string(*address));
  }
  if (field.text_of_packet != nullptr) return is_text(field, field.text_of_packet(subject));
  return is_text(field, field.number_of_packet(subject));
}

std::string found_in_process(const Field& field, const model::Owner& owner,
                             const Process& process) {
  if (field.side == Side::owner) return is_text(field, field.number_of_owner(owner));
  if (field.kind == ValueKind::pid) {
    std::string text =
        fmt::format("pid is {}@{:.3f}", process.id.pid,
                    std::chrono::duration<double>(process.id.start_boottime).count());
    if (field.with_ancestors)
      for (const model::Ancestor& parent : process.parents)
        text += fmt::format(" < {}", parent.id.pid);
    return text;
  }
  std::string scratch;
  if (field.text_of_process != nullptr)
    return is_text(field, field.text_of_process(process, scratch));
  return is_text(field, field.number_of_process(process));
}

std::string found_in_nobody(const Match& match, const model::Owner& owner) {
  const Field& field = *match.field;
  if (field.side == Side::owner) return is_text(field, field.number_of_owner(owner));
  if (field.number_of_nobody != nullptr && field.number_of_nobody(owner))
    return fmt::format("the socket's {}", is_text(field, field.number_of_nobody(owner)));
  return "nobody was found who sent it";
}

void find_miss_in_holders(const Rule& rule, const model::Owner& owner, Step& step) {
  // The holder that comes nearest, of a drop; the first that spoils it, of an allow.
  std::size_t most = 0;
  for (const model::ProcessRef& process : owner.processes) {
    std::size_t held = 0;
    const auto missed =
        std::find_if(rule.matches.begin(), rule.matches.end(), [&](const Match& match) {
          ++held;
          return match.field->is_guest_side() && !fits_process(match, owner, *process);
        });
    if (missed == rule.matches.end() || held <= most) continue;
    most = held;
    step.missed_on = to_string(*missed);
    step.found = found_in_process(*missed->field, owner, *process);
    if (owner.processes.size() > 1)
      step.found = fmt::format("of holder {}, {}", process->id.pid, step.found);
    if (rule.action == model::Action::pass) return;
  }
}

void find_miss(const Rule& rule, const Subject& subject, Step& step) {
  for (const Match& match : rule.matches) {
    if (match.field->is_guest_side() || fits_packet(match, subject)) continue;
    step.missed_on = to_string(match);
    step.found = found_in_packet(*match.field, subject);
    return;
  }
  if (!subject.owner.processes.empty()) return find_miss_in_holders(rule, subject.owner, step);
  for (const Match& match : rule.matches) {
    if (!match.field->is_guest_side() || fits_nobody(match, subject.owner)) continue;
    step.missed_on = to_string(match);
    step.found = found_in_nobody(match, subject.owner);
    return;
  }
}

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::decides:
      return "decides";
    case Outcome::observed:
      return "observed";
    case Outcome::missed:
      return "missed";
    case Outcome::expired:
      return "expired";
  }
  return "?";
}

std::vector<Step> explain(const Policy& policy, const Subject& asked, std::chrono::seconds now) {
  const model::Owner owner = policy.owner_that_counts(asked.owner);
  const Subject subject{asked.packet, owner, asked.netdev};
  std::vector<Step> steps;
  for (const Rule& rule : policy.rules()) {
    Step& step = steps.emplace_back();
    step.rule = &rule;
    if (rule.has_expired(now)) {
      step.outcome = Outcome::expired;
      step.found =
          fmt::format("it expired {} s ago", (now - rule.loaded_at - *rule.expires_after).count());
    } else if (!fits(rule, subject)) {
      find_miss(rule, subject, step);
    } else if (rule.is_observed) {
      step.outcome = Outcome::observed;
    } else {
      step.outcome = Outcome::decides;
      return steps;
    }
  }
  steps.push_back({&policy.by_default(), Outcome::decides, "", ""});
  return steps;
}

}  // namespace xfilter::policy
