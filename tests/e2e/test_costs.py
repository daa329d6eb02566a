# SPDX-License-Identifier: Apache-2.0
"""What must not cost more, counted in instructions: no noise. No VM."""

from lab import bench


def test_ten_thousand_learned_rules_cost_what_ten_do():
    few, many = bench.instructions_a_verdict(10), bench.instructions_a_verdict(10_000)
    assert 50 < few < 2_000  # something was counted
    assert many < few * 1.05
