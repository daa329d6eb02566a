// SPDX-License-Identifier: Apache-2.0
// store/wire.h: what is asked of a store, and its answers, as bytes, for who asks from another
// process. Numbers of eight bytes and texts with their length before them; both ends run on one
// host. decode() takes nothing on trust: input_invalid when it does not end where it should.
#pragma once

#include "store/store.h"

namespace xfilter::store {

std::string encode(const Change& change);
std::string encode(const Version& version);
std::string encode(const std::vector<PastChange>& changes);
std::string encode(const std::vector<Use>& uses);

Result<Change> decode_change(std::string_view bytes);
Result<Version> decode_version(std::string_view bytes);
Result<std::vector<PastChange>> decode_history(std::string_view bytes);
Result<std::vector<Use>> decode_uses(std::string_view bytes);

}  // namespace xfilter::store
