// SPDX-License-Identifier: Apache-2.0
#include "policy/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "policy/fields.h"
#include "policy/tokens.h"

namespace xfilter::policy {
namespace {

using model::Action;

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Range> range_of(std::string_view text, std::uint32_t largest) {
  const auto dash = text.find('-');
  const auto first = number_of<std::uint32_t>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : number_of<std::uint32_t>(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last > largest) return std::nullopt;
  return Range{*first, *last};
}

std::optional<Prefix> prefix_of(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = packet::IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const int longest = address->family == packet::IpAddress::Family::v4 ? 32 : 128;
  const auto length =
      slash == std::string_view::npos ? longest : number_of<int>(text.substr(slash + 1));
  if (!length || *length < 0 || *length > longest) return std::nullopt;
  return Prefix{*address, *length};
}

// PID, or PID@SECONDS[.FRACTION]: the fraction's digits say how precisely the start is known.
std::optional<PidMatch> pid_of(std::string_view text) {
  const auto at = text.find('@');
  const auto pid = number_of<std::int32_t>(text.substr(0, at));
  if (!pid || *pid <= 0) return std::nullopt;
  PidMatch match{*pid, std::nullopt, std::chrono::nanoseconds(1)};
  if (at == std::string_view::npos) return match;
  const auto time = text.substr(at + 1);
  const auto dot = time.find('.');
  const auto fraction = dot == std::string_view::npos ? std::string_view() : time.substr(dot + 1);
  const auto seconds = number_of<std::uint32_t>(time.substr(0, dot));
  const auto digits = fraction.empty() ? std::uint32_t{0} : number_of<std::uint32_t>(fraction);
  if (!seconds || !digits || fraction.size() > 9 ||
      (dot != std::string_view::npos && fraction.empty()))
    return std::nullopt;
  std::int64_t precision = 1'000'000'000;
  for (std::size_t i = 0; i < fraction.size(); ++i) precision /= 10;
  match.start = std::chrono::seconds(*seconds) + std::chrono::nanoseconds(*digits * precision);
  match.precision = std::chrono::nanoseconds(precision);
  return match;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& file, const Users* users)
      : text_(text), file_(file), users_(users) {}

  tl::expected<Policy, std::vector<Diagnostic>> run() {
    if (text_.size() > kLargestFile) {
      report(
          {text_.substr(0, 0), 1},
          fmt::format("the file has {} bytes, more than {} MiB", text_.size(), kLargestFile >> 20),
          "");
      return tl::make_unexpected(std::move(diagnostics_));
    }
    while (!text_.empty()) {
      const auto end = std::min(text_.find('\n'), text_.size());
      source_ = text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
      ++line_;
      tokens_ = tokens_of(source_);
      next_ = 0;
      if (!tokens_.empty()) parse_line();
    }
    if (!diagnostics_.empty()) return tl::make_unexpected(std::move(diagnostics_));
    if (default_place_) return Policy(std::move(rules_), default_action_, *default_place_);
    return Policy(std::move(rules_), Action::pass, {file_, 0, "default allow"});
  }

 private:
  void report(const Token& at, std::string message, std::string hint) {
    diagnostics_.push_back({file_, std::max(line_, 1), at.column, static_cast<int>(at.text.size()),
                            std::string(source_), std::move(message), std::move(hint)});
  }
  // Where a word is missing: just behind the last.
  Token behind_last() const {
    const Token& last = tokens_.back();
    return {" ", last.column + static_cast<int>(last.text.size())};
  }
  bool has_more() const { return next_ < tokens_.size(); }
  model::RulePlace place() const {
    const std::size_t begin = static_cast<std::size_t>(tokens_.front().column) - 1;
    const std::size_t end =
        static_cast<std::size_t>(tokens_.back().column) - 1 + tokens_.back().text.size();
    return {file_, line_, std::string(source_.substr(begin, end - begin))};
  }

  void parse_line() {
    const Token first = tokens_[next_++];
    if (first.text == "default") return parse_default(first);
    if (first.text != "allow" && first.text != "drop") {
      const auto meant = closest(first.text, {"allow", "drop", "default"});
      report(first, fmt::format("expected allow, drop or default, found \"{}\"", first.text),
             meant.empty() ? "a rule starts with what it does: drop tcp dport 25 uid 33"
                           : fmt::format("did you mean {}?", meant));
      return;
    }
    if (rules_.size() >= kMostRules) {
      if (rules_.size() == kMostRules)
        report(first, fmt::format("more than {} rules", kMostRules), "");
      return;
    }
    Rule rule;
    rule.action = first.text == "allow" ? Action::pass : Action::drop;
    rule.place = place();
    if (!has_more()) {
      report(behind_last(), fmt::format("expected what to {}", first.text),
             fmt::format("for all packets that no rule names, write: default {}", first.text));
      return;
    }
    bool is_sound = true;
    while (has_more() && is_sound) is_sound = parse_match(rule);
    if (is_sound) check_ports(rule, first);
    rules_.push_back(std::move(rule));
  }

  void parse_default(const Token& first) {
    if (!has_more() || (tokens_[next_].text != "allow" && tokens_[next_].text != "drop")) {
      report(has_more() ? tokens_[next_] : behind_last(), "expected allow or drop after default",
             "write: default allow");
      return;
    }
    default_action_ = tokens_[next_++].text == "allow" ? Action::pass : Action::drop;
    if (has_more())
      return report(tokens_[next_],
                    fmt::format("expected the end of the line, found \"{}\"", tokens_[next_].text),
                    "a default has no conditions");
    if (default_place_)
      return report(first, "a second default",
                    fmt::format("the first is in line {}", default_place_->line));
    default_place_ = place();
  }

  // [not] field [value]. Reports and returns false where it cannot go on.
  bool parse_match(Rule& rule) {
    Match match;
    if (tokens_[next_].text == "not") {
      match.is_negated = true;
      ++next_;
      if (!has_more()) {
        report(behind_last(), "expected a field after not", "for example: not uid 0");
        return false;
      }
    }
    const Token word = tokens_[next_++];
    const auto row = std::find_if(kFieldWords.begin(), kFieldWords.end(),
                                  [&](const FieldWord& field) { return field.word == word.text; });
    if (row == kFieldWords.end()) {
      report_unknown_field(word);
      return false;
    }
    match.field = row->field;
    if (row->value == ValueKind::none) {
      if (row->field == Field::protocol) match.ranges.push_back({row->implied, row->implied});
    } else if (!parse_values(*row, match)) {
      return false;
    }
    rule.matches.push_back(std::move(match));
    return true;
  }

  void report_unknown_field(const Token& word) {
    std::vector<std::string_view> known = {"not"};
    for (const FieldWord& field : kFieldWords) known.push_back(field.word);
    const auto meant = closest(word.text, known);
    std::string all;
    for (const FieldWord& field : kFieldWords)
      all += fmt::format("{}{}", all.empty() ? "" : " ", field.word);
    report(word, fmt::format("expected a field, found \"{}\"", word.text),
           meant.empty() ? "fields are: " + all : fmt::format("did you mean {}?", meant));
  }

  bool parse_values(const FieldWord& row, Match& match) {
    if (!has_more()) {
      report(behind_last(), fmt::format("{} needs {}", row.word, row.expected), "");
      return false;
    }
    if (tokens_[next_].text != "{") return parse_value(row, tokens_[next_++], match);
    const Token open = tokens_[next_++];
    std::size_t count = 0;
    while (has_more() && tokens_[next_].text != "}") {
      if (++count > kMostValues) {
        report(open, fmt::format("a set of more than {} values", kMostValues),
               "split it over several rules");
        return false;
      }
      if (!parse_value(row, tokens_[next_++], match)) return false;
      if (has_more() && tokens_[next_].text == ",")
        ++next_;
      else if (has_more() && tokens_[next_].text != "}") {
        report(tokens_[next_],
               fmt::format("expected , or }} in the set, found \"{}\"", tokens_[next_].text), "");
        return false;
      }
    }
    if (!has_more() || count == 0) {
      report(open, count == 0 && has_more() ? "an empty set" : "this set has no closing }",
             "write sets as {22, 3389}");
      return false;
    }
    ++next_;
    return true;
  }

  bool parse_value(const FieldWord& row, const Token& value, Match& match) {
    bool fits = false;
    switch (row.value) {
      case ValueKind::number:
      case ValueKind::port:
        if (const auto range = range_of(value.text, row.implied))
          match.ranges.push_back(*range), fits = true;
        break;
      case ValueKind::prefix:
        if (const auto prefix = prefix_of(value.text))
          match.prefixes.push_back(*prefix), fits = true;
        break;
      case ValueKind::pid:
        if (const auto pid = pid_of(value.text)) match.pids.push_back(*pid), fits = true;
        break;
      case ValueKind::glob:
        fits =
            value.text.find_first_of("{},") == std::string_view::npos &&
            (match.field != Field::exe || value.text.front() == '/' || value.text.front() == '*');
        if (fits) match.globs.emplace_back(value.text);
        break;
      case ValueKind::user:
        return parse_user(value, match);
      case ValueKind::none:
        break;
    }
    if (!fits)
      report(value, fmt::format("{} needs {}, found \"{}\"", row.word, row.expected, value.text),
             hint_for(row, value));
    return fits;
  }

  std::string hint_for(const FieldWord& row, const Token& value) const {
    const bool is_number = number_of<std::uint64_t>(value.text).has_value();
    if (row.field == Field::uid) return fmt::format("for a name write: user {}", value.text);
    if (row.field == Field::exe && is_number)
      return fmt::format("to match a port write: dport {}", value.text);
    if (row.field == Field::exe)
      return fmt::format("to match a task's name write: comm {}", value.text);
    return "";
  }

  bool parse_user(const Token& value, Match& match) {
    if (users_ == nullptr) {
      report(value, "user needs a users file: the host's own users say nothing about the guest's",
             "give --users FILE with the guest's /etc/passwd, or write the number: uid 1000");
      return false;
    }
    const auto uid = users_->find(std::string(value.text));
    if (!uid) {
      std::vector<std::string_view> known;
      for (const auto& [name, id] : users_->all()) known.push_back(name);
      const auto meant = closest(value.text, known);
      report(value, fmt::format("the users file has no user \"{}\"", value.text),
             meant.empty() ? "" : fmt::format("did you mean {}?", meant));
      return false;
    }
    match.ranges.push_back({*uid, *uid});
    return true;
  }

  // A rule on ports that no packet can fit is a mistake worth telling.
  void check_ports(const Rule& rule, const Token& first) {
    const auto has = [&](Field field) {
      return std::any_of(rule.matches.begin(), rule.matches.end(),
                         [&](const Match& m) { return m.field == field; });
    };
    if (!has(Field::sport) && !has(Field::dport)) return;
    for (const Match& match : rule.matches) {
      if (match.field != Field::protocol || match.is_negated) continue;
      const auto carries_ports = [](const Range& range) {
        return (range.first <= packet::protocol::tcp && packet::protocol::tcp <= range.last) ||
               (range.first <= packet::protocol::udp && packet::protocol::udp <= range.last);
      };
      if (std::none_of(match.ranges.begin(), match.ranges.end(), carries_ports))
        report(first, "this rule can never match: only tcp and udp have ports",
               "remove the port or the protocol");
    }
  }

  std::string_view text_;
  const std::string& file_;
  const Users* users_;

  std::string_view source_;
  int line_ = 0;
  std::vector<Token> tokens_;
  std::size_t next_ = 0;

  std::vector<Rule> rules_;
  Action default_action_ = Action::pass;
  std::optional<model::RulePlace> default_place_;
  std::vector<Diagnostic> diagnostics_;
};

}  // namespace

tl::expected<Policy, std::vector<Diagnostic>> parse(std::string_view text, const std::string& file,
                                                    const Users* users) {
  return Parser(text, file, users).run();
}

}  // namespace xfilter::policy
