// SPDX-License-Identifier: Apache-2.0
#include "policy/json.h"

#include "policy/fields.h"
#include "policy/tokens.h"

namespace xfilter::policy {
namespace {

using nlohmann::json;

// A member that may be missing.
Result<bool> flag_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return false;
  if (!found->is_boolean())
    return fail(Errc::input_invalid, "{}: expected true or false, found {}", name, found->dump());
  return found->get<bool>();
}

Result<std::string> word_of(const json& value, const char* what) {
  if (!value.is_string())
    return fail(Errc::input_invalid, "{}: expected a text, found {}", what, value.dump());
  auto word = value.get<std::string>();
  if (word.empty() || word.find_first_of(" \t\r\n{},#") != std::string::npos)
    return fail(Errc::input_invalid, "{}: expected one word, found {}", what, value.dump());
  return word;
}

Result<std::string> text_of_match(const json& match) {
  if (!match.is_object() || !match.contains("field"))
    return fail(Errc::input_invalid, "matches: expected {{\"field\": ...}}, found {}",
                match.dump());
  XF_TRY(is_negated, flag_of(match, "not"));
  const Field* field =
      match["field"].is_string() ? find_field(match["field"].get<std::string>()) : nullptr;
  if (field == nullptr)
    return fail(Errc::input_invalid, "field: there is no field {}", match["field"].dump());
  std::string text = fmt::format(" {}{}", is_negated ? "not " : "", field->word);
  const auto values = match.find("values");
  if (values == match.end()) return text;
  if (!values->is_array() || values->empty())
    return fail(Errc::input_invalid, "values: expected a list of texts, found {}", values->dump());
  std::string list;
  for (const json& value : *values) {
    XF_TRY(word, word_of(value, "values"));
    list += (list.empty() ? "" : ", ") + word;
  }
  return text + (values->size() == 1 ? " " + list : " {" + list + "}");
}

}  // namespace

nlohmann::ordered_json to_json(const Rule& rule) {
  nlohmann::ordered_json object = {{"action", rule.section == Section::protect     ? "protect"
                                              : rule.action == model::Action::drop ? "drop"
                                                                                   : "allow"},
                                   {"observe", rule.is_observed},
                                   {"log", rule.is_logged}};
  if (rule.expires_after) object["expires_s"] = rule.expires_after->count();
  object["matches"] = nlohmann::ordered_json::array();
  for (const Match& match : rule.matches) {
    nlohmann::ordered_json entry = {{"field", match.field->word}, {"not", match.is_negated}};
    for (const Token& token : tokens_of(match.values))
      if (token.text.find_first_of("{},") == std::string_view::npos)
        entry["values"].push_back(token.text);
    object["matches"].push_back(std::move(entry));
  }
  object["section"] = to_string(rule.section);
  object["file"] = rule.place.file;
  object["line"] = rule.place.line;
  object["text"] = rule.place.text;
  return object;
}

nlohmann::ordered_json to_json(const std::vector<Step>& steps) {
  auto list = nlohmann::ordered_json::array();
  for (const Step& step : steps)
    list.push_back({{"rule", to_json(*step.rule)},
                    {"outcome", to_string(step.outcome)},
                    {"missed_on", step.missed_on},
                    {"found", step.found}});
  return {{"verdict", model::to_string(steps.back().rule->action)}, {"steps", std::move(list)}};
}

nlohmann::ordered_json to_json(const Plan& plan) {
  auto list = nlohmann::ordered_json::array();
  for (const HeaderClass& one : plan.classes) {
    std::string headers;
    for (const Match* match : one.matches)
      headers += (headers.empty() ? "" : " ") + to_string(*match);
    list.push_back({{"packets", headers.empty() ? "all" : headers},
                    {"treatment", to_string(one.treatment)},
                    {"because", to_json(*one.because)}});
  }
  return {{"classes", std::move(list)},
          {"otherwise", to_string(plan.otherwise)},
          {"default", to_json(*plan.by_default)}};
}

Result<std::string> text_of(const json& object) {
  if (!object.is_object() || !object.contains("action") || !object.contains("matches"))
    return fail(Errc::input_invalid, "expected {{\"action\": ..., \"matches\": [...]}}, found {}",
                object.dump().substr(0, 80));
  XF_TRY(action, word_of(object["action"], "action"));
  XF_TRY(is_observed, flag_of(object, "observe"));
  XF_TRY(is_logged, flag_of(object, "log"));
  if (!object["matches"].is_array())
    return fail(Errc::input_invalid, "matches: expected a list, found {}",
                object["matches"].dump());
  std::string text = (is_observed ? "observe " : "") + action;
  for (const json& match : object["matches"]) {
    XF_TRY(words, text_of_match(match));
    text += words;
  }
  if (is_logged) text += " log";
  if (const auto expires = object.find("expires_s"); expires != object.end()) {
    if (!expires->is_number_unsigned())
      return fail(Errc::input_invalid, "expires_s: expected a number of seconds, found {}",
                  expires->dump());
    text += fmt::format(" expires {}s", expires->get<std::uint64_t>());
  }
  return text;
}

}  // namespace xfilter::policy
