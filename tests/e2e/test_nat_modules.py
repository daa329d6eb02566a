# SPDX-License-Identifier: Apache-2.0
"""The modules of a guest's NAT, unloaded and loaded again while containers send."""

import collections

import pytest

from lab import packages
from lab.network import Network
from lab.packet_truth import Discard, PacketTruth, judge
from lab.vm import Guest

NAT_MODULES = "nft_masq nft_nat nft_chain_nat nf_tables nf_nat nf_conntrack"  # in the order in which they can go
WITHOUT_NAT = f"""
  sleep 1.5; nft list ruleset > /tmp/ruleset; nft flush ruleset
  for m in {NAT_MODULES}; do rmmod $m 2> /dev/null; done; grep '^nf_conntrack ' /proc/modules && exit 1
  sleep 1
  while read -r m; do insmod /lib/modules/$m.ko 2> /dev/null; done < /lib/modules/order
  nft -f /tmp/ruleset; sleep 1.5; killall senders
"""


@pytest.mark.parametrize("kernel", packages.kernels_for_all_tests())
def test_no_containers_packet_is_anothers_while_the_modules_of_nat_go_and_come_back(kernel, tmp_path):
    with Network() as network, Guest(kernel, network, containers=True) as guest, Discard(network), \
            PacketTruth(guest, tmp_path / "truth") as truth:
        for number in (2, 3):
            guest.run(f"python3 /usr/local/bin/container.py container{number} 10.88.0.{number} {1500 + number} /usr/local/bin/senders "
                      f"10.88.0.{number} {network.server4} {network.server6} 60 5000 udp4 udp4 any4")
        guest.run(WITHOUT_NAT)
    with_nat, without, changes = collections.Counter(), collections.Counter(), []
    for packet in truth.packets:
        if not packet["claim"]:
            continue
        outcome = judge(packet)[1]
        (with_nat if network.guest4 in packet["flow"] else without)[outcome] += 1
        if outcome == "unknown":
            changes.append(packet["reason"])
    print(f"\n{kernel}: with NAT {dict(with_nat)}, without {dict(without)}, unknown {dict(collections.Counter(changes))}")
    for counted in (with_nat, without):
        assert set(counted) <= {"right", "lower", "unknown"} and counted["right"] > 500
    # Only while modules come and go is nobody named; it passes.
    known = [bool(packet["pids"]) for packet in truth.packets if packet["claim"]]
    assert all(known[:200]) and all(known[-100:]) and sum(known) > 0.8 * len(known)
