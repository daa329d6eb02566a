// SPDX-License-Identifier: Apache-2.0
// base/result.h: a value or an Error. The one way functions of xFilter say that something went
// wrong.
//
// Use it for everything that the world can do to us: a VMM that goes away, guest memory that makes
// no sense, a rule file with a typo. Programming errors are asserts. It hides which library
// implements it (tl::expected today, std::expected when the compilers have it).
//
//   Result<Header> header = read_header(at);
//   if (!header) return fail(header.error());             // pass on
//   XF_TRY(header, read_header(at));                      // the same in one line; `header` is the
//   value return fail(Errc::guest_data_invalid, "hdr_len is {}, expected 24", len);
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace xfilter {

// What is wrong with the world. One code, one thing its reader would do about it.
enum class Errc {
  guest_page_not_present,  // no RAM there, or no page table entry leads there
  guest_data_invalid,      // it was read, and it cannot be what it should be
  budget_exhausted,        // more steps than an honest guest would need
  guest_kernel_not_found,  // memory readable, but no Linux kernel (yet)
  profile_lacks_symbol,    // kallsyms of this kernel does not have it
  profile_lacks_member,    // BTF of this kernel does not have it
  host_refused,            // a system call on the host failed
  vmm_not_recognised,      // the process is not a VMM, or none of its memory is guest RAM
  input_invalid,           // what a person wrote cannot be used
  already_attached,        // another xFilter serves this netdev
};

struct Error {
  Errc code;
  std::string message;  // one sentence for people: where, what was found, what was expected
};

template <class T>
using Result = tl::expected<T, Error>;

template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Errc code, fmt::format_string<Args...> text,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace xfilter

#define XF_JOIN_(a, b) a##b
#define XF_JOIN(a, b) XF_JOIN_(a, b)
// XF_TRY(name, expression): declares `name` as the value, or returns the error to the caller.
#define XF_TRY(name, expression) XF_TRY_(name, expression, XF_JOIN(xf_result_, __LINE__))
#define XF_TRY_(name, expression, result)                         \
  auto result = (expression);                                     \
  if (!result) return ::xfilter::fail(std::move(result).error()); \
  auto name = std::move(*result)
// XF_CHECK(expression): for Result<void>.
#define XF_CHECK(expression)                                              \
  do {                                                                    \
    auto xf_check_ = (expression);                                        \
    if (!xf_check_) return ::xfilter::fail(std::move(xf_check_).error()); \
  } while (false)
