// SPDX-License-Identifier: Apache-2.0
#include "policy/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>

namespace xfilter::policy {

std::string render(const Diagnostic& at) {
  std::string text = fmt::format("{}:{}:{}: {}: {}\n", at.file, at.line, at.column,
                                 at.severity == Severity::error ? "error" : "warning", at.message);
  std::string source = at.source, carets;
  for (int i = 1; i < at.column; ++i)
    carets += static_cast<std::size_t>(i) <= source.size() &&
                      source[static_cast<std::size_t>(i - 1)] == '\t'
                  ? '\t'
                  : ' ';
  carets += std::string(static_cast<std::size_t>(std::max(at.width, 1)), '^');
  for (char& c : source)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') c = '?';
  text += fmt::format("{:>5} | {}\n      | {}\n", at.line, source, carets);
  if (!at.hint.empty()) text += fmt::format("hint: {}\n", at.hint);
  return text;
}

std::string render(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) text += render(diagnostic);
  return text;
}

}  // namespace xfilter::policy
