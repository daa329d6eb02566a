// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/socket_tables.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace xfilter::guest::linux {
namespace {

using packet::Flow;
using packet::IpAddress;

constexpr std::uint32_t kLargestTable =
    1 << 24;  // buckets; the kernel's own limit for ehash is 512 Ki

struct Table {
  VirtAddr buckets;
  std::uint32_t mask = 0;
};

Result<Table> checked(const char* what, VirtAddr buckets, std::uint32_t mask) {
  if (!buckets || mask >= kLargestTable || ((mask + 1) & mask) != 0)
    return fail(Errc::guest_data_invalid, "{}: buckets at {} with mask {:#x}", what, buckets, mask);
  return Table{buckets, mask};
}

Result<VirtAddr> tcp_hashinfo(const View& view, VirtAddr net) {
  return view.read_pointer(net, view.layout().net_tcp_hashinfo);
}

Result<Table> ehash(const View& view, VirtAddr net) {
  XF_TRY(hashinfo, tcp_hashinfo(view, net));
  XF_TRY(buckets, view.read_pointer(hashinfo, view.layout().hashinfo_ehash));
  XF_TRY(mask, view.read<std::uint32_t>(hashinfo, view.layout().hashinfo_ehash_mask));
  return checked("tcp ehash", buckets, mask);
}

// inet_hashinfo.listening_hash has INET_LHTABLE_SIZE buckets, in the struct itself.
constexpr std::uint32_t kListeningHashMask = 31;

Result<Table> listeners(const View& view, VirtAddr net) {
  XF_TRY(hashinfo, tcp_hashinfo(view, net));
  const auto& layout = view.layout();
  if (layout.hashinfo_listening_hash)
    return checked("tcp listening_hash", hashinfo + layout.hashinfo_listening_hash->offset,
                   kListeningHashMask);
  XF_TRY(buckets, view.read_pointer(hashinfo, layout.hashinfo_lhash2));
  XF_TRY(mask, view.read<std::uint32_t>(hashinfo, layout.hashinfo_lhash2_mask));
  return checked("tcp lhash2", buckets, mask);
}

Result<Table> udp_table(const View& view, VirtAddr net) {
  const auto& layout = view.layout();
  VirtAddr table;
  if (layout.net_udp_table) {
    XF_TRY(of_net, view.read_pointer(net, *layout.net_udp_table));
    table = of_net;
  } else {
    XF_TRY(global, view.profile().symbols.need("udp_table"));
    table = global;
  }
  XF_TRY(buckets, view.read_pointer(table, layout.udp_table_hash));
  XF_TRY(mask, view.read<std::uint32_t>(table, layout.udp_table_mask));
  return checked("udp table", buckets, mask);
}

// Visits the socks of one chain. An hlist ends with a null pointer, an hlist_nulls with an odd one.
template <class Visit>
Result<void> walk_chain_from(const View& view, VirtAddr node, kernel::Member link, Budget& budget,
                             const char* what, Visit visit) {
  CircleCheck circle;
  while (node && (node.value & 1) == 0) {
    if (circle.closes_at(node.value)) return fail(Errc::budget_exhausted, "{}: a circle", what);
    XF_CHECK(budget.spend(what));
    XF_CHECK(visit(node - link.offset));
    XF_TRY(next, view.space().read_pointer(node));
    node = next;
  }
  return {};
}

template <class Visit>
Result<void> walk_chain(const View& view, VirtAddr head, kernel::Member link, Budget& budget,
                        const char* what, Visit visit) {
  XF_TRY(first, view.space().read_pointer(head));
  return walk_chain_from(view, first, link, budget, what, visit);
}

// The flow's addresses as a socket of the given family stores them.
bool address_matches(const IpAddress& stored, const IpAddress& of_packet) {
  return stored.unmapped() == of_packet;
}

// Buckets are read many at a time: nearly all are empty.
Result<void> sweep_table(const View& view, const Table& table, std::uint32_t bucket_size,
                         std::uint32_t head_offset, kernel::Member link, Budget& budget,
                         const char* what, SocketKind kind, const SocketTables::Visit& visit) {
  const std::uint64_t buckets = std::uint64_t{table.mask} + 1;
  if (bucket_size < head_offset + sizeof(std::uint64_t) || bucket_size > kPageSize)
    return fail(Errc::profile_lacks_member, "{}: a bucket of {} bytes", what, bucket_size);
  // A step a page of the table. Namespaces can claim many tables, all of the largest size.
  XF_CHECK(budget.spend(what, 1 + buckets * bucket_size / kPageSize));
  const std::uint64_t at_once = kPageSize / bucket_size;
  std::array<std::byte, kPageSize> bytes;
  for (std::uint64_t first = 0; first < buckets; first += at_once) {
    const std::uint64_t count = std::min(at_once, buckets - first);
    const std::span<std::byte> chunk(bytes.data(), count * bucket_size);
    XF_CHECK(view.space().read(table.buckets + first * bucket_size, chunk));
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto node = load<std::uint64_t>(chunk, i * bucket_size + head_offset);
      XF_CHECK(walk_chain_from(view, VirtAddr{node.value_or(0)}, link, budget, what,
                               [&](VirtAddr sock) -> Result<void> {
                                 auto tuple = read_tuple(view, kind, sock);
                                 if (!tuple) return {};  // freed or reused while we came
                                 return visit(*tuple);
                               }));
    }
  }
  return {};
}

constexpr std::size_t kRawBuckets = 256;      // RAW_HTABLE_SIZE, include/net/raw.h
constexpr std::uint32_t kPingTableMask = 63;  // PING_HTABLE_SIZE - 1, include/net/ping.h

// What a table of chains looks like that are all empty: null, or, with hlist_nulls (v5.18 to v6.1),
// each the number of its bucket (INIT_HLIST_NULLS_HEAD()).
using RawHeads = std::array<std::uint64_t, kRawBuckets>;
constexpr RawHeads kNoRawSockets{};
constexpr RawHeads kNoRawSocketsNulls = [] {
  RawHeads heads{};
  for (std::size_t i = 0; i < heads.size(); ++i) heads[i] = i << 1 | 1;
  return heads;
}();

// Raw sockets of all namespaces. IPv6 can be missing (a module elsewhere, or switched off). Asked
// for with nearly every packet, and nearly always empty.
Result<void> sweep_raw(const View& view, std::span<const std::optional<VirtAddr>> tables,
                       Budget& budget, const SocketTables::Visit& visit) {
  for (const auto& table : tables) {
    if (!table) continue;
    XF_CHECK(budget.spend("raw table"));
    view.space().prefetch(*table, sizeof(RawHeads));
    XF_TRY(first, view.space().read_value<std::uint64_t>(*table));
    const RawHeads& empty = first == 0 ? kNoRawSockets : kNoRawSocketsNulls;
    XF_TRY(is_empty, view.space().holds(*table, std::as_bytes(std::span(empty))));
    if (is_empty) continue;
    XF_TRY(heads, view.space().read_value<RawHeads>(*table));
    for (const std::uint64_t head : heads) {
      XF_CHECK(walk_chain_from(view, VirtAddr{head}, view.layout().sk_node, budget, "raw table",
                               [&](VirtAddr sock) -> Result<void> {
                                 auto tuple = read_tuple(view, SocketKind::raw, sock);
                                 if (!tuple) return {};  // freed or reused while we came
                                 return visit(*tuple);
                               }));
    }
  }
  return {};
}

Result<void> sweep_packet(const View& view, VirtAddr net, Budget& budget,
                          const SocketTables::Visit& visit) {
  const auto& layout = view.layout();
  return sweep_table(view, Table{net + layout.net_packet_sklist.offset, 0}, sizeof(std::uint64_t),
                     0, layout.sk_node, budget, "packet sockets", SocketKind::packet, visit);
}

}  // namespace

Result<Net> read_net(const View& view, VirtAddr net) {
  XF_TRY(inum, view.read<std::uint32_t>(net, view.layout().net_inum));
  return Net{net, inum};
}

Result<std::vector<Net>> walk_nets(const View& view, Budget budget) {
  std::vector<Net> nets;
  XF_TRY(head, view.profile().symbols.need("net_namespace_list"));
  XF_CHECK(walk_list(view, head, view.layout().net_list, budget, "list of net namespaces",
                     [&](VirtAddr at) -> Result<void> {
                       XF_TRY(net, read_net(view, at));
                       nets.push_back(net);
                       return {};
                     }));
  return nets;
}

SocketTables::SocketTables(const View& view)
    : view_(&view),
      tcp4_(secret_at("inet_ehash_secret", view.layout().hotdata_tcp4_secret)),
      tcp6_(secret_at("inet6_ehash_secret", view.layout().hotdata_tcp6_secret)),
      tcp6_addr_(secret_at("ipv6_hash_secret", view.layout().hotdata_tcp6_addr_secret)) {
  const std::uint64_t heads = view.layout().raw_hashinfo_ht.offset;
  if (const auto v4 = view.profile().symbols.find("raw_v4_hashinfo")) raw_[0] = *v4 + heads;
  if (const auto v6 = view.profile().symbols.find("raw_v6_hashinfo")) raw_[1] = *v6 + heads;
}

std::optional<VirtAddr> SocketTables::secret_at(
    std::string_view symbol, const std::optional<kernel::Member>& hotdata) const {
  const auto& symbols = view_->profile().symbols;
  if (const auto at = symbols.find(symbol)) return at;
  const auto base = symbols.find("net_hotdata");
  if (!base || !hotdata) return std::nullopt;
  return *base + hotdata->offset;
}

// The secrets are made when they are first needed (net_get_random_once): zero may become something
// else, so they are read for every look-up.
Result<InetSecrets> SocketTables::read_secrets(VirtAddr net, bool is_ipv6) const {
  InetSecrets secrets;
  XF_TRY(hash_mix, view_->read<std::uint32_t>(net, view_->layout().net_hash_mix));
  secrets.hash_mix = hash_mix;
  const auto read = [&](const std::optional<VirtAddr>& at) -> Result<std::uint32_t> {
    if (at) return view_->space().read_value<std::uint32_t>(*at);
    return fail(Errc::profile_lacks_symbol, "the guest's kernel has no secret of TCP's hash");
  };
  if (!is_ipv6) {
    XF_TRY(tcp4, read(tcp4_));
    secrets.tcp4 = tcp4;
    return secrets;
  }
  XF_TRY(tcp6, read(tcp6_));
  secrets.tcp6 = tcp6;
  XF_TRY(tcp6_addr, read(tcp6_addr_));
  secrets.tcp6_addr = tcp6_addr;
  return secrets;
}

Result<std::optional<SocketTuple>> SocketTables::find_tcp(VirtAddr net, const Flow& flow,
                                                          Budget& budget) {
  const bool is_ipv6 = flow.src.family == IpAddress::Family::v6;
  XF_TRY(table, ehash(*view_, net));
  XF_TRY(secrets, read_secrets(net, is_ipv6));
  const int formulas = is_ipv6 ? kInet6Formulas : kInet4Formulas;
  int& last = is_ipv6 ? inet6_formula_ : inet4_formula_;
  for (int i = 0; i < formulas; ++i) {
    const int formula = (last + i) % formulas;
    const std::uint32_t hash =
        is_ipv6 ? inet6_hash(formula, secrets, flow.src, flow.src_port, flow.dst, flow.dst_port)
                : inet4_hash(formula, secrets, flow.src, flow.src_port, flow.dst, flow.dst_port);
    const VirtAddr bucket =
        table.buckets + std::uint64_t{hash & table.mask} * view_->layout().ehash_bucket_size;
    std::optional<SocketTuple> found;
    XF_CHECK(walk_chain(*view_, bucket, view_->layout().sk_nulls_node, budget, "tcp ehash chain",
                        [&](VirtAddr sock) -> Result<void> {
                          if (found) return {};
                          view_->prefetch_tcp_sock(sock);
                          XF_TRY(stored, view_->read<std::uint32_t>(sock, view_->layout().sk_hash));
                          if (stored != hash) return {};
                          auto tuple = read_tuple(*view_, SocketKind::tcp, sock);
                          if (!tuple) return {};
                          if (tuple->net == net && tuple->local_port == flow.src_port &&
                              tuple->remote_port == flow.dst_port &&
                              address_matches(tuple->local, flow.src) &&
                              address_matches(tuple->remote, flow.dst))
                            found = *tuple;
                          return {};
                        }));
    if (found) {
      last = formula;
      return found;
    }
  }
  return std::nullopt;
}

Result<std::vector<SocketTuple>> SocketTables::find_udp(VirtAddr net, const Flow& flow,
                                                        Budget& budget) const {
  const auto& layout = view_->layout();
  XF_TRY(table, udp_table(*view_, net));
  XF_TRY(hash_mix, view_->read<std::uint32_t>(net, layout.net_hash_mix));
  const std::uint32_t slot = (flow.src_port + hash_mix) & table.mask;  // udp_hashfn()
  std::vector<SocketTuple> found;
  XF_CHECK(walk_chain(*view_, table.buckets + std::uint64_t{slot} * layout.udp_hslot_size,
                      layout.sk_node, budget, "udp hash chain", [&](VirtAddr sock) -> Result<void> {
                        auto tuple = read_tuple(*view_, SocketKind::udp, sock);
                        if (!tuple || tuple->net != net || tuple->local_port != flow.src_port)
                          return {};
                        if (!tuple->is_ipv6_socket && flow.src.family == IpAddress::Family::v6)
                          return {};
                        found.push_back(*tuple);
                        return {};
                      }));
  return found;
}

Result<std::vector<SocketTuple>> SocketTables::find_ping(VirtAddr net, const Flow& flow,
                                                         Budget& budget) const {
  const auto& layout = view_->layout();
  XF_TRY(table, view_->profile().symbols.need("ping_table"));
  XF_TRY(hash_mix, view_->read<std::uint32_t>(net, layout.net_hash_mix));
  const std::uint32_t slot = (flow.src_port + hash_mix) & kPingTableMask;  // ping_hashfn()
  const bool is_ipv6 = flow.src.family == IpAddress::Family::v6;
  std::vector<SocketTuple> found;
  XF_CHECK(walk_chain(
      *view_, table + layout.ping_table_hash.offset + std::uint64_t{slot} * sizeof(std::uint64_t),
      layout.sk_node, budget, "ping table", [&](VirtAddr sock) -> Result<void> {
        auto tuple = read_tuple(*view_, SocketKind::ping, sock);
        if (tuple && tuple->net == net && tuple->local_port == flow.src_port &&
            tuple->is_ipv6_socket == is_ipv6)
          found.push_back(*tuple);
        return {};
      }));
  return found;
}

Result<std::vector<SocketTuple>> SocketTables::find_raw(VirtAddr net, Budget& budget) const {
  std::vector<SocketTuple> found;
  const auto keep = [&](const SocketTuple& tuple) -> Result<void> {
    if (tuple.net == net) found.push_back(tuple);
    return {};
  };
  XF_CHECK(sweep_raw(*view_, raw_, budget, keep));
  XF_CHECK(sweep_packet(*view_, net, budget, keep));
  return found;
}

Result<void> SocketTables::sweep(VirtAddr net, Budget& budget, const Visit& visit) const {
  const auto& layout = view_->layout();
  XF_TRY(established, ehash(*view_, net));
  XF_CHECK(sweep_table(*view_, established, layout.ehash_bucket_size, 0, layout.sk_nulls_node,
                       budget, "tcp ehash", SocketKind::tcp, visit));
  XF_TRY(listening, listeners(*view_, net));
  XF_CHECK(sweep_table(*view_, listening, layout.listen_bucket_size,
                       layout.listen_bucket_nulls_head.offset, layout.sk_nulls_node, budget,
                       "tcp listeners", SocketKind::tcp, visit));
  XF_TRY(udp, udp_table(*view_, net));
  XF_CHECK(sweep_table(*view_, udp, layout.udp_hslot_size, 0, layout.sk_node, budget, "udp table",
                       SocketKind::udp, visit));
  XF_TRY(ping, view_->profile().symbols.need("ping_table"));
  XF_CHECK(sweep_table(*view_, Table{ping + layout.ping_table_hash.offset, kPingTableMask},
                       sizeof(std::uint64_t), 0, layout.sk_node, budget, "ping table",
                       SocketKind::ping, visit));
  XF_CHECK(sweep_raw(*view_, raw_, budget, visit));
  return sweep_packet(*view_, net, budget, visit);
}

}  // namespace xfilter::guest::linux
