// SPDX-License-Identifier: Apache-2.0
#include "policy/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <map>

#include "base/number.h"
#include "policy/fields.h"
#include "policy/tokens.h"

namespace xfilter::policy {
namespace {

using model::Action;

// 90s, 10m, 2h, 7d.
std::optional<std::chrono::seconds> duration_of(std::string_view text) {
  constexpr std::uint32_t kLongest = 3650 * 24 * 3600;
  const auto unit = std::string_view("smhd").find(text.empty() ? ' ' : text.back());
  if (unit == std::string_view::npos) return std::nullopt;
  constexpr std::array<std::uint32_t, 4> kSeconds = {1, 60, 3600, 24 * 3600};
  const auto number = number_of<std::uint32_t>(text.substr(0, text.size() - 1));
  if (!number || *number == 0 || *number > kLongest / kSeconds[unit]) return std::nullopt;
  return std::chrono::seconds(*number * kSeconds[unit]);
}

// syn+ack: these are set. syn/syn+ack: of syn and ack, only syn is set.
std::optional<TcpFlagsMatch> tcp_flags_of(std::string_view text) {
  constexpr std::array<std::string_view, 8> kNames = {"fin", "syn", "rst", "psh",
                                                      "ack", "urg", "ece", "cwr"};  // RFC 9293
  const auto bits_of = [&](std::string_view names) -> std::optional<std::uint8_t> {
    unsigned bits = 0;
    while (true) {
      const auto plus = std::min(names.find('+'), names.size());
      const auto found = std::find(kNames.begin(), kNames.end(), names.substr(0, plus));
      if (found == kNames.end()) return std::nullopt;
      bits |= 1u << (found - kNames.begin());
      if (plus == names.size()) return static_cast<std::uint8_t>(bits);
      names.remove_prefix(plus + 1);
    }
  };
  const auto slash = text.find('/');
  const auto set = bits_of(text.substr(0, slash));
  const auto asked = slash == std::string_view::npos ? set : bits_of(text.substr(slash + 1));
  if (!set || !asked || (*set & ~*asked) != 0) return std::nullopt;
  return TcpFlagsMatch{*set, *asked};
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

constexpr std::array<std::string_view, 8> kFirstWords = {"allow",   "drop", "protect", "observe",
                                                         "default", "set",  "include", "ambiguous"};

class Parser {
 public:
  explicit Parser(const Surroundings& surroundings) : surroundings_(surroundings) {}

  tl::expected<Policy::Parts, Diagnostics> run(std::string_view text, const std::string& file) {
    parse_file(text, file);
    const auto of_files = static_cast<std::ptrdiff_t>(rules_.size());
    for (const AddedRule& added : surroundings_.added) parse_added(added);
    if (!diagnostics_.empty()) return tl::make_unexpected(std::move(diagnostics_));
    std::rotate(rules_.begin(), rules_.begin() + of_files, rules_.end());
    if (!default_) default_ = Policy::built_in_default(file);
    return Policy::Parts{std::move(rules_), std::move(*default_), ambiguous_as_};
  }

 private:
  struct NamedSet {
    std::string place;  // FILE:LINE
    std::vector<Token> values;
  };

  void report(const Token& at, std::string message, std::string hint) {
    diagnostics_.push_back({file_, std::max(line_, 1), at.column, static_cast<int>(at.text.size()),
                            std::string(source_), std::move(message), std::move(hint),
                            Severity::error});
  }
  // Where a word is missing: just behind the last.
  Token behind_last() const {
    const Token& last = tokens_.back();
    return {" ", last.column + static_cast<int>(last.text.size())};
  }
  bool has_more() const { return next_ < tokens_.size(); }
  bool is_next(std::string_view text) const { return has_more() && tokens_[next_].text == text; }
  Token next_or_behind() const { return has_more() ? tokens_[next_] : behind_last(); }
  void expect_end(const char* hint) {
    if (has_more())
      report(tokens_[next_],
             fmt::format("expected the end of the line, found \"{}\"", tokens_[next_].text), hint);
  }
  model::RulePlace place() const {
    const std::size_t begin = static_cast<std::size_t>(tokens_.front().column) - 1;
    const std::size_t end =
        static_cast<std::size_t>(tokens_.back().column) - 1 + tokens_.back().text.size();
    return {file_, line_, std::string(source_.substr(begin, end - begin))};
  }

  void parse_file(std::string_view text, const std::string& file) {
    file_ = file;
    line_ = 0;
    source_ = {};
    if (text.size() > kLargestFile)
      return report(
          {text.substr(0, 0), 1},
          fmt::format("the file has {} bytes, more than {} MiB", text.size(), kLargestFile >> 20),
          "use sets, or more than one file");
    open_.push_back(file);
    while (!text.empty()) {
      const auto end = std::min(text.find('\n'), text.size());
      source_ = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      ++line_;
      tokens_ = tokens_of(source_);
      next_ = 0;
      if (!tokens_.empty()) parse_line();
    }
    open_.pop_back();
  }

  void parse_added(const AddedRule& added) {
    file_ = kAddedPlace;
    line_ = added.id;
    source_ = added.text;
    tokens_ = tokens_of(source_);
    next_ = 0;
    constexpr const char* kHint = "for example: drop tcp dport 25 uid 33";
    if (tokens_.empty()) return report({" ", 1}, "expected a rule", kHint);
    if (source_.find('\n') != std::string_view::npos)
      return report({" ", 1}, "expected one rule, found several lines", "add them one by one");
    const std::string_view first = tokens_.front().text;
    if (first == "default" || first == "set" || first == "include" || first == "ambiguous")
      return report(tokens_.front(), fmt::format("{} stands in a rule file alone", first),
                    "change the file and reload it");
    parse_line();
  }

  void parse_line() {
    const Token first = tokens_[next_++];
    if (first.text == "default") return parse_default(first);
    if (first.text == "set") return parse_set(first);
    if (first.text == "include") return parse_include(first);
    if (first.text == "ambiguous") return parse_ambiguous();
    if (first.text != "observe") return parse_rule(first, Observing::no);
    if (!has_more())
      return report(behind_last(), "expected a rule to observe",
                    "for example: observe drop uid 33");
    parse_rule(tokens_[next_++], Observing::yes);
  }

  enum class Observing { no, yes };
  void parse_rule(const Token& first, Observing observing) {
    if (first.text != "allow" && first.text != "drop" && first.text != "protect") {
      const auto meant = closest(first.text, {kFirstWords.begin(), kFirstWords.end()});
      return report(first,
                    fmt::format("a line starts with allow, drop, protect, observe, default, set, "
                                "include or ambiguous; found \"{}\"",
                                first.text),
                    meant.empty() ? "a rule starts with what it does: drop tcp dport 25 uid 33"
                                  : fmt::format("did you mean {}?", meant));
    }
    if (rules_.size() >= kMostRules) {
      if (!has_too_many_)
        report(first, fmt::format("more than {} rules", kMostRules),
               "use sets: one rule can name many values");
      has_too_many_ = true;
      return;
    }
    Rule rule;
    rule.section = first.text == "protect" ? Section::protect : Section::operators;
    rule.action = first.text == "drop" ? Action::drop : Action::pass;
    rule.is_observed = observing == Observing::yes;
    rule.place = place();
    if (rule.section == Section::protect && rule.is_observed)
      return report(first, "a protect rule cannot be observed: it keeps others from having effect",
                    "write protect alone, or observe allow");
    if (!has_more()) {
      const bool is_default = first.text != "protect";
      return report(
          behind_last(), fmt::format("expected what to {}", first.text),
          is_default
              ? fmt::format("for all packets that no rule names, write: default {}", first.text)
              : "for example: protect exe /usr/sbin/exim4");
    }
    bool is_sound = true;
    while (has_more() && is_sound) is_sound = parse_option(rule) || parse_match(rule);
    if (is_sound && rule.matches.empty())
      report(behind_last(), fmt::format("expected what to {}", first.text),
             fmt::format("for example: {} tcp dport 25", first.text));
    if (is_sound) check_ports(rule, first);
    rules_.push_back(std::move(rule));
  }

  // log, expires DURATION. False when it is neither, and nothing was taken.
  bool parse_option(Rule& rule) {
    if (is_next("log")) {
      ++next_;
      return rule.is_logged = true;
    }
    if (!is_next("expires")) return false;
    ++next_;
    const Token value = next_or_behind();
    rule.expires_after = has_more() ? duration_of(value.text) : std::nullopt;
    if (!rule.expires_after)
      report(value, "expires needs a time such as 90s, 10m, 2h or 7d",
             "it counts from when the rule is loaded first");
    if (has_more()) ++next_;
    return true;
  }

  void parse_default(const Token& first) {
    if (!is_next("allow") && !is_next("drop"))
      return report(next_or_behind(), "expected allow or drop after default",
                    "write: default allow");
    Rule rule;
    rule.action = tokens_[next_++].text == "allow" ? Action::pass : Action::drop;
    rule.place = place();
    if (has_more()) return expect_end("a default has no conditions");
    if (default_)
      return report(first, "a second default",
                    default_->place.file == file_
                        ? fmt::format("the first is in line {}", default_->place.line)
                        : fmt::format("the first is in {}", place_of(*default_)));
    default_ = std::move(rule);
  }

  // ambiguous as holders|nobody
  void parse_ambiguous() {
    constexpr const char* kHint = "write: ambiguous as holders, or: ambiguous as nobody";
    if (!is_next("as")) return report(next_or_behind(), "expected as", kHint);
    ++next_;
    if (!is_next("holders") && !is_next("nobody"))
      return report(next_or_behind(), "expected holders or nobody", kHint);
    ambiguous_as_ = tokens_[next_++].text == "holders" ? AmbiguousAs::holders : AmbiguousAs::nobody;
    expect_end(kHint);
  }

  // set NAME = {VALUE, ...}
  void parse_set(const Token& first) {
    constexpr const char* kHint = "write: set office = {10.0.0.0/8, fd00::/8}";
    if (!has_more()) return report(behind_last(), "expected the set's name", kHint);
    const Token name = tokens_[next_++];
    if (name.text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") !=
        std::string_view::npos)
      return report(name, "a set's name has small letters, digits, - and _", kHint);
    if (!is_next("=")) return report(next_or_behind(), "expected = after the set's name", kHint);
    ++next_;
    if (!is_next("{")) return report(next_or_behind(), "expected { and the set's values", kHint);
    NamedSet set{fmt::format("{}:{}", file_, line_), {}};
    if (!parse_braces([&](const Token& value) {
          set.values.push_back(keep(value));
          return true;
        }))
      return;
    expect_end(kHint);
    const auto [known, is_new] = sets_.emplace(name.text, std::move(set));
    if (!is_new)
      report(first, fmt::format("a second set \"{}\"", name.text),
             fmt::format("the first is in {}", known->second.place));
  }

  // Lines of included files are gone when the set is used.
  Token keep(const Token& token) {
    kept_.emplace_back(token.text);
    return {kept_.back(), token.column};
  }

  void parse_include(const Token& first) {
    if (!has_more())
      return report(behind_last(), "expected the file to include",
                    "for example: include mail.rules");
    const Token name = tokens_[next_++];
    if (has_more()) return expect_end("a line includes one file");
    const std::string path =
        (std::filesystem::path(file_).parent_path() / std::string(name.text)).string();
    if (!surroundings_.read_file)
      return report(first, "files cannot be included here", "put the rules in this file");
    if (std::find(open_.begin(), open_.end(), path) != open_.end())
      return report(name, fmt::format("{} includes itself", path),
                    "remove this line, or the one that includes this file");
    if (++files_ > kMostFiles)
      return report(name, fmt::format("more than {} files", kMostFiles), "put rules together");
    const auto text = surroundings_.read_file(path);
    if (!text) return report(name, text.error().message, "paths begin beside the including file");
    const auto here = std::make_tuple(file_, line_, source_);
    parse_file(*text, path);
    std::tie(file_, line_, source_) = here;
  }

  // [not] field [value]. Reports and returns false where it cannot go on.
  bool parse_match(Rule& rule) {
    Match match;
    if (is_next("not")) {
      match.is_negated = true;
      ++next_;
      if (!has_more()) {
        report(behind_last(), "expected a field after not", "for example: not uid 0");
        return false;
      }
    }
    const Token word = tokens_[next_++];
    match.field = find_field(word.text);
    if (match.field == nullptr && has_more()) {  // a field of two words
      match.field = find_field(fmt::format("{} {}", word.text, tokens_[next_].text));
      if (match.field != nullptr) ++next_;
    }
    if (match.field == nullptr) {
      report_unknown_field(word);
      return false;
    }
    if (match.field->implied) {
      match.ranges.push_back({*match.field->implied, *match.field->implied});
    } else {
      const std::size_t first = next_;
      if (!parse_values(*match.field, match)) return false;
      const auto begin = static_cast<std::size_t>(tokens_[first].column) - 1;
      const Token& last = tokens_[next_ - 1];
      match.values = source_.substr(
          begin, static_cast<std::size_t>(last.column) - 1 + last.text.size() - begin);
    }
    rule.matches.push_back(std::move(match));
    return true;
  }

  void report_unknown_field(const Token& word) {
    std::vector<std::string_view> known = {"not", "log", "expires"};
    std::string all;
    for (const Field& field : all_fields()) {
      known.push_back(field.word);
      all += fmt::format("{}{}", all.empty() ? "" : " ", field.word);
    }
    const auto meant = closest(word.text, known);
    report(word, fmt::format("expected a field, found \"{}\"", word.text),
           meant.empty() ? "fields are: " + all : fmt::format("did you mean {}?", meant));
  }

  bool parse_values(const Field& field, Match& match) {
    if (!has_more()) {
      report(behind_last(), fmt::format("{} needs {}", field.word, field.expected),
             example_of(field));
      return false;
    }
    if (!is_next("{")) return parse_value(field, tokens_[next_++], match);
    return parse_braces([&](const Token& value) { return parse_value(field, value, match); });
  }

  // {VALUE, ...}, of which each is taken by take(); it returns false where it cannot go on.
  template <class Take>
  bool parse_braces(Take take) {
    const Token open = tokens_[next_++];
    std::size_t count = 0;
    while (has_more() && !is_next("}")) {
      if (++count > kMostValues) {
        report(open, fmt::format("a set of more than {} values", kMostValues),
               "split it over several rules");
        return false;
      }
      if (!take(tokens_[next_++])) return false;
      if (is_next(","))
        ++next_;
      else if (has_more() && !is_next("}")) {
        report(tokens_[next_],
               fmt::format("expected , or }} in the set, found \"{}\"", tokens_[next_].text),
               "write sets as {22, 3389}");
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

  bool parse_value(const Field& field, const Token& value, Match& match) {
    if (value.text.front() == '@') return parse_set_reference(field, value, match);
    if (add_value(field, value.text, match)) return true;
    if (field.kind == ValueKind::user) return report_name(value, "user", surroundings_.users);
    if (field.kind == ValueKind::group) return report_name(value, "group", surroundings_.groups);
    report(value, fmt::format("{} needs {}, found \"{}\"", field.word, field.expected, value.text),
           hint_for(field, value.text));
    return false;
  }

  bool parse_set_reference(const Field& field, const Token& reference, Match& match) {
    const std::string name(reference.text.substr(1));
    const auto set = sets_.find(name);
    if (set == sets_.end()) {
      std::vector<std::string_view> known;
      for (const auto& [other, values] : sets_) known.push_back(other);
      const auto meant = closest(name, known);
      report(reference, fmt::format("there is no set \"{}\" before this line", name),
             meant.empty() ? fmt::format("write above: set {} = {{...}}", name)
                           : fmt::format("did you mean @{}?", meant));
      return false;
    }
    for (const Token& value : set->second.values) {
      if (add_value(field, value.text, match)) continue;
      report(reference,
             fmt::format("{} needs {}, found \"{}\" in the set \"{}\"", field.word, field.expected,
                         value.text, name),
             fmt::format("the set is in {}", set->second.place));
      return false;
    }
    return true;
  }

  // False when `text` is no value of the field.
  bool add_value(const Field& field, std::string_view text, Match& match) {
    const auto add = [](auto& values, auto value) {
      if (value) values.push_back(std::move(*value));
      return value.has_value();
    };
    switch (field.kind) {
      case ValueKind::number:
        return add(match.ranges, range_of(text, field.largest));
      case ValueKind::user:
        return add(match.ranges, named(surroundings_.users, text));
      case ValueKind::group:
        return add(match.ranges, named(surroundings_.groups, text));
      case ValueKind::prefix:
        return add(match.prefixes, prefix_of(text));
      case ValueKind::tcp_flags:
        return add(match.flags, tcp_flags_of(text));
      case ValueKind::pid:
        return add(match.pids, pid_of(text));
      case ValueKind::path:
        if (text.front() != '/' && text.front() != '*') return false;
        [[fallthrough]];
      case ValueKind::text:
        if (text.find_first_of("{},") != std::string_view::npos) return false;
        match.globs.emplace_back(text);
        return true;
      case ValueKind::word: {
        const auto word = std::find(field.words.begin(), field.words.end(), text);
        if (word == field.words.end()) return false;
        const auto number = static_cast<std::uint32_t>(word - field.words.begin());
        match.ranges.push_back({number, number});
        return true;
      }
      case ValueKind::none:
        break;
    }
    return false;
  }

  static std::optional<Range> named(const Names* names, std::string_view text) {
    if (names == nullptr) return std::nullopt;
    const auto number = names->find(std::string(text));
    return number ? std::optional(Range{*number, *number}) : std::nullopt;
  }

  bool report_name(const Token& value, const char* what, const Names* names) {
    if (names == nullptr) {
      const bool is_user = std::string_view(what) == "user";
      report(value,
             fmt::format("{0} needs a {0}s file: the host's own {0}s say nothing about the guest's",
                         what),
             fmt::format("give --{}s FILE with the guest's /etc/{}, or write the number: {} 1000",
                         what, is_user ? "passwd" : "group", is_user ? "uid" : "gid"));
      return false;
    }
    std::vector<std::string_view> known;
    for (const auto& [name, id] : names->all()) known.push_back(name);
    const auto meant = closest(value.text, known);
    report(value, fmt::format("the {0}s file has no {0} \"{1}\"", what, value.text),
           meant.empty() ? "take the guest's own file, or write the number"
                         : fmt::format("did you mean {}?", meant));
    return false;
  }

  static std::string hint_for(const Field& field, std::string_view value) {
    if (field.word == "uid") return fmt::format("for a name write: user {}", value);
    if (field.word == "gid") return fmt::format("for a name write: group {}", value);
    if (field.word == "exe")
      return number_of<std::uint64_t>(value)
                 ? fmt::format("to match a port write: dport {}", value)
                 : fmt::format("to match a task's name write: comm {}", value);
    return example_of(field);
  }

  static std::string example_of(const Field& field) {
    switch (field.kind) {
      case ValueKind::none:
        break;
      case ValueKind::number:
        return fmt::format("for example: {0} 12, {0} 12-20, or {0} {{12, 20}}", field.word);
      case ValueKind::user:
      case ValueKind::group:
        return fmt::format("for example: {} www-data", field.word);
      case ValueKind::prefix:
        return "names are not looked up: write the addresses that are meant";
      case ValueKind::pid:
        return "xfilter ps shows processes and when they started";
      case ValueKind::tcp_flags:
        return "flags are fin, syn, rst, psh, ack, urg, ece and cwr";
      case ValueKind::path:
        return fmt::format("for example: {} /usr/bin/*", field.word);
      case ValueKind::text:
        return fmt::format("for example: {} a*", field.word);
      case ValueKind::word:
        return fmt::format("for example: {} {}", field.word, field.words.front());
    }
    return "";
  }

  // A rule on ports that no packet can fit is a mistake worth telling.
  void check_ports(const Rule& rule, const Token& first) {
    const auto has = [&](std::string_view word) {
      return std::any_of(rule.matches.begin(), rule.matches.end(),
                         [&](const Match& m) { return m.field->word == word; });
    };
    if (!has("sport") && !has("dport")) return;
    const auto protocol = find_field("proto")->number_of_packet;
    for (const Match& match : rule.matches) {
      if (match.field->number_of_packet != protocol || match.is_negated) continue;
      const auto carries_ports = [](const Range& range) {
        return (range.first <= packet::protocol::tcp && packet::protocol::tcp <= range.last) ||
               (range.first <= packet::protocol::udp && packet::protocol::udp <= range.last);
      };
      if (std::none_of(match.ranges.begin(), match.ranges.end(), carries_ports))
        report(first, "this rule can never match: only tcp and udp have ports",
               "remove the port or the protocol");
    }
  }

  const Surroundings& surroundings_;

  // Where we are.
  std::string file_;
  std::string_view source_;
  int line_ = 0;
  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  std::vector<std::string> open_;  // files that are being read, each included by the one before
  std::size_t files_ = 1;

  std::map<std::string, NamedSet, std::less<>> sets_;
  std::deque<std::string> kept_;
  std::vector<Rule> rules_;
  bool has_too_many_ = false;
  std::optional<Rule> default_;
  AmbiguousAs ambiguous_as_ = AmbiguousAs::holders;
  std::vector<Diagnostic> diagnostics_;
};

}  // namespace

tl::expected<Policy::Parts, Diagnostics> parse_parts(std::string_view text, const std::string& file,
                                                     const Surroundings& surroundings) {
  return Parser(surroundings).run(text, file);
}

tl::expected<Policy, Diagnostics> parse(std::string_view text, const std::string& file,
                                        const Surroundings& surroundings) {
  return parse_parts(text, file, surroundings).map([](Policy::Parts parts) {
    return Policy(std::move(parts));
  });
}

}  // namespace xfilter::policy
