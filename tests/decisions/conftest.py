"""A small cluster with GPUs and NICs, as several of these tests have it."""

import pytest

from tests.kit.builders import make_class, make_template
from tests.kit.worlds import GPU, NIC, engine, feed, held, p4d


@pytest.fixture
def judging():
    """Three p4d: `aligned` idle, `apart` with its first NIC taken, `full` without a free GPU."""
    found = engine()
    for name in ("aligned", "apart", "full"):
        feed(found, *p4d(name))
    feed(found, make_class(GPU), make_class(NIC))
    feed(found, held("apart", "nic-0"), held("full", *(f"gpu-{n}" for n in range(8))))
    feed(found, make_template("gpu-nic").request("gpu", GPU).request("nic", NIC))
    return found
