// SPDX-License-Identifier: Apache-2.0
#include "store/wire.h"

#include <cstring>

namespace xfilter::store {
namespace {

class Writer {
 public:
  void put(std::int64_t number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void put(std::string_view text) {
    put(static_cast<std::int64_t>(text.size()));
    bytes_.append(text);
  }
  template <class Item, class PutOne>
  void put_all(const std::vector<Item>& items, PutOne put_one) {
    put(static_cast<std::int64_t>(items.size()));
    for (const Item& item : items) put_one(item);
  }
  std::string bytes_;
};

// After a read beyond the end all reads give nothing, and ends_well() says so.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  std::int64_t number() {
    std::int64_t value = 0;
    if (left_.size() < sizeof value) return fail_with(0);
    std::memcpy(&value, left_.data(), sizeof value);
    left_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    const auto size = static_cast<std::uint64_t>(number());
    if (size > left_.size()) return fail_with(std::string());
    std::string value(left_.substr(0, size));
    left_.remove_prefix(size);
    return value;
  }
  // Memory only for what is there.
  template <class ReadOne>
  void all(ReadOne read_one) {
    for (std::int64_t count = number(); count > 0 && !has_failed_; --count) read_one();
  }
  bool ends_well() const { return !has_failed_ && left_.empty(); }

 private:
  template <class Value>
  Value fail_with(Value value) {
    has_failed_ = true;
    left_ = {};
    return value;
  }
  std::string_view left_;
  bool has_failed_ = false;
};

template <class Value>
Result<Value> checked(const Reader& reader, Value value) {
  if (!reader.ends_well())
    return fail(Errc::input_invalid, "a message between processes is damaged");
  return value;
}

void put_entries(Writer& writer, const std::vector<Entry>& entries) {
  writer.put_all(entries, [&](const Entry& entry) {
    writer.put(entry.id);
    writer.put(entry.text);
  });
}

std::vector<Entry> read_entries(Reader& reader) {
  std::vector<Entry> entries;
  reader.all([&] {
    const auto id = reader.number();
    entries.push_back({id, reader.text()});
  });
  return entries;
}

void put_uses(Writer& writer, const std::vector<Use>& uses) {
  writer.put_all(uses, [&](const Use& use) {
    writer.put(use.rule);
    writer.put(static_cast<std::int64_t>(use.hits));
    writer.put(use.loaded_at.count());
  });
}

std::vector<Use> read_uses(Reader& reader) {
  std::vector<Use> uses;
  reader.all([&] {
    Use& use = uses.emplace_back();
    use.rule = reader.text();
    use.hits = static_cast<std::uint64_t>(reader.number());
    use.loaded_at = std::chrono::seconds(reader.number());
  });
  return uses;
}

}  // namespace

std::string encode(const Change& change) {
  Writer writer;
  writer.put(change.who);
  writer.put(change.what);
  writer.put(change.same_as.value_or(0));
  writer.put_all(change.taken, [&](std::int64_t id) { writer.put(id); });
  put_entries(writer, change.put);
  put_uses(writer, change.uses);
  return writer.bytes_;
}

Result<Change> decode_change(std::string_view bytes) {
  Reader reader(bytes);
  Change change;
  change.who = reader.text();
  change.what = reader.text();
  if (const auto same_as = reader.number(); same_as != 0) change.same_as = same_as;
  reader.all([&] { change.taken.push_back(reader.number()); });
  change.put = read_entries(reader);
  change.uses = read_uses(reader);
  return checked(reader, std::move(change));
}

std::string encode(const Version& version) {
  Writer writer;
  writer.put(version.change);
  writer.put(version.next_entry);
  put_entries(writer, version.entries);
  return writer.bytes_;
}

Result<Version> decode_version(std::string_view bytes) {
  Reader reader(bytes);
  Version version;
  version.change = reader.number();
  version.next_entry = reader.number();
  version.entries = read_entries(reader);
  return checked(reader, std::move(version));
}

std::string encode(const std::vector<PastChange>& changes) {
  Writer writer;
  writer.put_all(changes, [&](const PastChange& change) {
    writer.put(change.id);
    writer.put(change.time.time_since_epoch().count());
    writer.put(change.who);
    writer.put(change.what);
    writer.put(change.same_as);
  });
  return writer.bytes_;
}

Result<std::vector<PastChange>> decode_history(std::string_view bytes) {
  Reader reader(bytes);
  std::vector<PastChange> changes;
  reader.all([&] {
    PastChange& change = changes.emplace_back();
    change.id = reader.number();
    change.time = std::chrono::sys_seconds(std::chrono::seconds(reader.number()));
    change.who = reader.text();
    change.what = reader.text();
    change.same_as = reader.number();
  });
  return checked(reader, std::move(changes));
}

std::string encode(const std::vector<Use>& uses) {
  Writer writer;
  put_uses(writer, uses);
  return writer.bytes_;
}

Result<std::vector<Use>> decode_uses(std::string_view bytes) {
  Reader reader(bytes);
  auto uses = read_uses(reader);
  return checked(reader, std::move(uses));
}

}  // namespace xfilter::store
