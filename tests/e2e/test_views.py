# SPDX-License-Identifier: Apache-2.0
"""Guest memory in other shapes than the usual private RAM of test_boots.py."""

import views
from lab.vm import Guest


def test_shared_memory_shows_the_same_as_private():
    with Guest("6.1", share=True) as guest:
        guest.start("mix", "alice")
        guest.run("for i in $(seq 40); do sleep 0.3; grep -q ready /tmp/alice.log && exit; done; exit 1")
        different = views.differences(*views.look(guest))
        assert not different, different[:5]
