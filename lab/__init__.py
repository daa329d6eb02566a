# SPDX-License-Identifier: Apache-2.0
"""The lab: real guests from Debian's kernels, under QEMU, for the demo and the tests."""
