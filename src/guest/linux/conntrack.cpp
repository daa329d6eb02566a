// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/conntrack.h"

#include <array>
#include <cstring>

#include "base/bytes.h"
#include "base/circle.h"
#include "guest/linux/inet_hash.h"
#include "guest/linux/siphash.h"
#include "guest/linux/socket_tables.h"

namespace xfilter::guest::linux {
namespace {

using packet::Flow;
using packet::IpAddress;

constexpr std::array<std::string_view, 3> kSymbols = {
    "nf_conntrack_hash", "nf_conntrack_htable_size", "nf_conntrack_hash_rnd"};
constexpr std::chrono::milliseconds kSearchInterval{200};  // a choice
constexpr std::uint32_t kLargestTable = 1
                                        << 24;  // buckets; the kernel's default is 262,144 at most
constexpr std::uint16_t kAfInet = 2, kAfInet6 = 10;
constexpr std::uint8_t kEchoReply = 0, kEchoReply6 = 129;  // of ICMP, of ICMPv6

// struct nf_conntrack_tuple, in the sense in which the kernel hashes it: all but `dir`.
struct Tuple {
  IpAddress src, dst;
  std::uint16_t src_u = 0, dst_u = 0;  // ports or echo identifier and type/code, network byte order
  std::uint8_t protonum = 0;

  bool operator==(const Tuple&) const = default;
};

bool is_icmp(std::uint8_t protocol) {
  return protocol == packet::protocol::icmp || protocol == packet::protocol::icmpv6;
}

// How the answer to a packet of `flow` would be tracked (nf_ct_invert_tuple()).
Tuple answer_to(const Flow& flow) {
  Tuple tuple{flow.dst, flow.src, __builtin_bswap16(flow.dst_port),
              __builtin_bswap16(flow.src_port), flow.protocol};
  if (is_icmp(flow.protocol)) {
    tuple.src_u = __builtin_bswap16(flow.src_port);  // both directions have the identifier here
    tuple.dst_u = flow.protocol == packet::protocol::icmp ? kEchoReply : kEchoReply6;
  }
  return tuple;
}

Flow flow_of(const Tuple& tuple, std::uint16_t vlan) {
  const bool has_ports = !is_icmp(tuple.protonum);
  Flow flow;
  flow.src = tuple.src;
  flow.dst = tuple.dst;
  flow.protocol = tuple.protonum;
  flow.src_port = __builtin_bswap16(tuple.src_u);
  flow.dst_port = has_ports ? __builtin_bswap16(tuple.dst_u) : std::uint16_t{0};
  flow.vlan = vlan;
  return flow;
}

// The tuple as it lies in memory: nf_conntrack_man (address, port, family), then dst.
std::array<std::byte, 40> bytes_of(const Tuple& tuple) {
  std::array<std::byte, 40> bytes{};
  const std::uint16_t family = tuple.src.family == IpAddress::Family::v4 ? kAfInet : kAfInet6;
  std::memcpy(bytes.data(), tuple.src.bytes.data(), 16);
  std::memcpy(bytes.data() + 16, &tuple.src_u, 2);
  std::memcpy(bytes.data() + 18, &family, 2);
  std::memcpy(bytes.data() + 20, tuple.dst.bytes.data(), 16);
  std::memcpy(bytes.data() + 36, &tuple.dst_u, 2);
  std::memcpy(bytes.data() + 38, &tuple.protonum, 1);
  return bytes;
}

// hash_conntrack_raw() of net/netfilter/nf_conntrack_core.c through the times, for the default
// zone:
//   0  siphash of the tuple itself, up to protonum, with the namespace mixed into the key (6.x)
//   1  siphash of a packed copy with zone and namespace (5.15 on, "netfilter: conntrack: include
//      zone id in tuple hash again")
//   2  the same without the zone (stable backports of commit dd6d2910c5e0 "netfilter: conntrack:
//      switch to siphash")
//   3  jhash2 (until 5.14)
constexpr int kFormulas = 4;

std::uint32_t hash_of(int formula, const Tuple& tuple, std::span<const std::byte> random,
                      std::uint32_t hash_mix) {
  const auto bytes = bytes_of(tuple);
  SiphashKey key{*load<std::uint64_t>(random, 0), *load<std::uint64_t>(random, 8)};
  if (formula == 0) {
    key.second ^= hash_mix;
    return static_cast<std::uint32_t>(siphash(std::span(bytes).first(39), key));
  }
  const std::uint16_t protocol = tuple.protonum;
  if (formula == 1 || formula == 2) {
    std::array<std::byte, 48> packed{};
    const std::size_t mix_at = formula == 1 ? 40 : 36;  // behind the zone, which is 0
    std::memcpy(packed.data(), bytes.data(), 36);
    std::memcpy(packed.data() + mix_at, &hash_mix, 4);
    std::memcpy(packed.data() + mix_at + 4, &tuple.dst_u, 2);
    std::memcpy(packed.data() + mix_at + 6, &protocol, 2);
    return static_cast<std::uint32_t>(siphash(packed, key));
  }
  std::array<std::uint32_t, 9> words;
  std::memcpy(words.data(), bytes.data(), sizeof words);
  const std::uint32_t seed = *load<std::uint32_t>(random, 0) ^ hash_mix;
  return jhash2(words, seed ^ (std::uint32_t{tuple.dst_u} << 16 | protocol));
}

struct Entry {
  VirtAddr connection;  // struct nf_conn
  unsigned direction = 0;
  Tuple tuple;
};

Result<Tuple> read_tuple_at(const View& view, VirtAddr at, unsigned& direction) {
  const auto& layout = view.layout();
  Tuple tuple;
  XF_TRY(src, (view.read<std::array<std::uint8_t, 16>>(at, layout.tuple_src_u3)));
  XF_TRY(dst, (view.read<std::array<std::uint8_t, 16>>(at, layout.tuple_dst_u3)));
  XF_TRY(family, view.read<std::uint16_t>(at, layout.tuple_src_l3num));
  if (family != kAfInet && family != kAfInet6)
    return fail(Errc::guest_data_invalid, "nf_conntrack_tuple {}: family {}", at, family);
  tuple.src = IpAddress::v6(src);
  tuple.dst = IpAddress::v6(dst);
  if (family == kAfInet) {  // an address in the first four bytes, as in IpAddress
    tuple.src.family = tuple.dst.family = IpAddress::Family::v4;
  }
  XF_TRY(src_u, view.read<std::uint16_t>(at, layout.tuple_src_u));
  tuple.src_u = src_u;
  XF_TRY(dst_u, view.read<std::uint16_t>(at, layout.tuple_dst_u));
  tuple.dst_u = dst_u;
  XF_TRY(protonum, view.read<std::uint8_t>(at, layout.tuple_dst_protonum));
  tuple.protonum = protonum;
  XF_TRY(dir, view.read<std::uint8_t>(at, layout.tuple_dst_dir));
  if (dir > 1)
    return fail(Errc::guest_data_invalid, "nf_conntrack_tuple {}: direction {}", at, dir);
  direction = dir;
  return tuple;
}

// The entry in one chain whose tuple is `wanted`, of a connection in `net`.
Result<std::optional<Entry>> find_in_chain(const View& view, VirtAddr head, VirtAddr net,
                                           const Tuple& wanted, Budget& budget) {
  const auto& layout = view.layout();
  XF_TRY(node, view.space().read_pointer(head));
  CircleCheck circle;
  while (node && (node.value & 1) == 0) {
    if (circle.closes_at(node.value)) return fail(Errc::budget_exhausted, "conntrack: a circle");
    XF_CHECK(budget.spend("conntrack chain"));
    const VirtAddr hash = node - layout.tuple_hash_node.offset;
    unsigned direction = 0;
    auto tuple = read_tuple_at(view, hash + layout.tuple_hash_tuple.offset, direction);
    if (tuple && *tuple == wanted) {
      const VirtAddr connection = hash - (layout.nf_conn_tuplehash.offset +
                                          std::uint64_t{direction} * layout.tuple_hash_size);
      XF_TRY(its_net, view.read_pointer(connection, layout.nf_conn_net));
      if (its_net == net) return Entry{connection, direction, *tuple};
    }
    XF_TRY(next, view.space().read_pointer(node));
    node = next;
  }
  return std::nullopt;
}

// What went in where `entry` comes out: the other direction's tuple.
Result<std::optional<Flow>> other_direction(const View& view, const Entry& entry,
                                            const Flow& flow) {
  const auto& layout = view.layout();
  const unsigned wanted = 1 - entry.direction;
  const VirtAddr hash = entry.connection + layout.nf_conn_tuplehash.offset +
                        std::uint64_t{wanted} * layout.tuple_hash_size;
  unsigned direction = 0;
  XF_TRY(tuple, read_tuple_at(view, hash + layout.tuple_hash_tuple.offset, direction));
  // The connection may have ended, and its memory be used for another: then its tuple has changed.
  unsigned again = 0;
  const VirtAddr found = entry.connection + layout.nf_conn_tuplehash.offset +
                         std::uint64_t{entry.direction} * layout.tuple_hash_size;
  XF_TRY(now, read_tuple_at(view, found + layout.tuple_hash_tuple.offset, again));
  if (direction != wanted || again != entry.direction || now != entry.tuple)
    return fail(Errc::guest_data_invalid, "nf_conn {}: it changed while it was read",
                entry.connection);
  return flow_of(tuple, flow.vlan);
}

}  // namespace

// Looked for once, and again when a module was loaded meanwhile (it comes first in the list) or
// nf_conntrack was unloaded.
Result<void> Conntrack::find_symbols() {
  const auto& built_in = view_->profile().symbols;
  if (built_in.find("nf_conntrack_hash")) {
    symbols_ = built_in;
    return {};
  }
  XF_TRY(modules, built_in.need("modules"));
  XF_TRY(newest, view_->space().read_pointer(modules));
  if (module_ && is_loaded(*view_, *module_)) return {};
  if (!module_ && newest == newest_module_) return {};
  symbols_.reset();
  module_.reset();
  newest_module_ = {};
  // Thousands of reads: a guest whose list never stays the same pays for it once in a while only.
  const auto now = std::chrono::steady_clock::now();
  if (now - searched_ < kSearchInterval)
    return fail(Errc::guest_data_invalid,
                "modules come and go: whether there is NAT is not known for a moment");
  searched_ = now;
  XF_TRY(found, find_module(*view_, "nf_conntrack"));
  if (found) {
    // It is in the list before its symbols are there: then it is looked for again.
    XF_TRY(symbols, read_symbols(*view_, *found, kSymbols));
    for (const std::string_view name : kSymbols) XF_CHECK(symbols.need(name));
    symbols_ = std::move(symbols);
  }
  module_ = std::move(found);
  newest_module_ = newest;
  return {};
}

Result<std::optional<Conntrack::Table>> Conntrack::table() {
  XF_CHECK(find_symbols());
  if (!symbols_) return std::nullopt;
  Table table;
  XF_TRY(hash_at, symbols_->need("nf_conntrack_hash"));
  XF_TRY(size_at, symbols_->need("nf_conntrack_htable_size"));
  XF_TRY(random_at, symbols_->need("nf_conntrack_hash_rnd"));
  XF_TRY(buckets, view_->space().read_pointer(hash_at));
  table.buckets = buckets;
  XF_TRY(size, view_->space().read_value<std::uint32_t>(size_at));
  if (!buckets || size == 0 || size > kLargestTable)
    return fail(Errc::guest_data_invalid, "conntrack table at {}: {} buckets", buckets, size);
  table.size = size;
  XF_CHECK(view_->space().read(random_at, table.random));
  return table;
}

Result<std::optional<Flow>> Conntrack::before_nat(const Flow& flow, Budget& budget) {
  XF_TRY(found, table());
  if (!found) return std::nullopt;
  const VirtAddr net = view_->init_net();
  XF_TRY(hash_mix, view_->read<std::uint32_t>(net, view_->layout().net_hash_mix));
  const Tuple answer = answer_to(flow);
  for (int i = 0; i < kFormulas; ++i) {
    const int formula = (formula_ + i) % kFormulas;
    const std::uint64_t hash = hash_of(formula, answer, found->random, hash_mix);
    const std::uint64_t bucket = hash * found->size >> 32;  // reciprocal_scale()
    XF_TRY(entry, find_in_chain(*view_, found->buckets + bucket * sizeof(std::uint64_t), net,
                                answer, budget));
    if (!entry) continue;
    formula_ = formula;
    return other_direction(*view_, *entry, flow);
  }
  return std::nullopt;
}

Result<std::optional<Flow>> Conntrack::before_nat_by_sweep(const Flow& flow, Budget& budget) {
  XF_TRY(found, table());
  if (!found) return std::nullopt;
  const VirtAddr net = view_->init_net();
  const Tuple answer = answer_to(flow);
  for (std::uint64_t bucket = 0; bucket < found->size; ++bucket) {
    XF_TRY(entry, find_in_chain(*view_, found->buckets + bucket * sizeof(std::uint64_t), net,
                                answer, budget));
    if (entry) return other_direction(*view_, *entry, flow);
  }
  return std::nullopt;
}

}  // namespace xfilter::guest::linux
