"""The command line run over a small snapshot."""

import pytest

from extender import cli
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.rigs.cli_run import write

GPU = "gpu.example.com"


@pytest.fixture
def snapshot(tmp_path):
    """Two nodes with slices (one full), one without, a device class, a pending pod."""
    free = make_slice("free-gpus", GPU).on("free").device("gpu-0").device("gpu-1")
    full = make_slice("full-gpus", GPU).on("full").device("gpu-0")
    held = make_claim("held").request("r", GPU).allocated("full", ("r", GPU, "full", "gpu-0"))
    return write(
        tmp_path / "cluster.yaml",
        *(make_node(name) for name in ("free", "full", "plain")),
        *(free, full, held, make_class(GPU)),
        make_template("one-gpu").request("gpu", GPU),
        make_pod("waiting").template("one-gpu"),
    )


@pytest.fixture
def run(capsys):
    """Run the command line; returns (exit status, standard output, standard error)."""

    def command(*arguments):
        status = cli.main(arguments)
        said = capsys.readouterr()
        return status, said.out, said.err

    return command
