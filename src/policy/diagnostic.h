// SPDX-License-Identifier: Apache-2.0
// policy/diagnostic.h: what is wrong in a file that a person wrote, where, and what to do about it.
#pragma once

#include <string>
#include <vector>

namespace xfilter::policy {

enum class Severity : unsigned char { error, warning };

struct Diagnostic {
  std::string file;
  int line = 0;         // from 1
  int column = 0;       // from 1, of the first byte at fault
  int width = 1;        // bytes at fault
  std::string source;   // the whole line
  std::string message;  // what was expected, what was found
  std::string hint;     // how to go on; may be empty
  Severity severity = Severity::error;
};

// file:line:column: error (or warning): message, the line, a caret under the fault, the hint.
std::string render(const Diagnostic& diagnostic);
std::string render(const std::vector<Diagnostic>& diagnostics);

}  // namespace xfilter::policy
