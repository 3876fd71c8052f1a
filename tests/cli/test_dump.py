"""`railyard dump`: what leaves a cluster, what does not, and that answers stay equal."""

import asyncio
import json
import re
import zlib

import pytest

from extender import cli, settings
from extender.replay import hashed_names, redaction, snapshots
from tests.cli.test_cli import write
from tests.kit import apiserver, kubeconfigs
from tests.kit.builders import make_node, make_pod, make_slice
from tests.kit.generated import salted as salted_objects

SECRETS = {
    "env": "env-s3cr3t",
    "arguments": "args-s3cr3t",
    "command": "command-s3cr3t",
    "image": "user:image-s3cr3t@registry.example/i",
    "annotation": "annotation-s3cr3t",
    "annotation's name": "name-of-annotation-s3cr3t",
    "volume": "volume-s3cr3t",
    "pull secret": "pull-s3cr3t",
    "managed fields": "managed-s3cr3t",
    "status": "message-s3cr3t",
    "finished pod": "finished-s3cr3t",
}
IN_NAMES = (
    "node-n4m3",
    "pod-n4m3",
    "space-n4m3",
    "claim-n4m3",
    "app-n4m3",
    "owner-n4m3",
    "box-n4m3",
)
DRA = "resource.k8s.io/v1"
FOLDER = {"Node": "/api/v1/nodes", "Pod": "/api/v1/pods"}
FOLDER |= {
    kind: f"/apis/{DRA}/{plural}"
    for kind, plural in {
        "ResourceSlice": "resourceslices",
        "ResourceClaim": "resourceclaims",
        "ResourceClaimTemplate": "resourceclaimtemplates",
        "DeviceClass": "deviceclasses",
        "DeviceTaintRule": "devicetaintrules",
    }.items()
}


def salted():
    """A server with a secret wherever somebody may have put one."""
    server = apiserver.ApiServer()
    for kind, path in FOLDER.items():
        server.add(path, kind, "v1" if path.startswith("/api/") else DRA)
    note = {SECRETS["annotation's name"]: SECRETS["annotation"]}
    meta = {
        "annotations": note | {"scheduling.k8s.io/group-name": "app-n4m3"},
        "labels": {"app": "app-n4m3"},
        "ownerReferences": [{"kind": "Job", "name": "owner-n4m3", "uid": "owner-n4m3"}],
        "managedFields": [{"manager": SECRETS["managed fields"]}],
    }
    container = {
        "name": "box-n4m3",
        "image": SECRETS["image"],
        "command": [SECRETS["command"]],
        "args": ["--token", SECRETS["arguments"]],
        "env": [{"name": "TOKEN", "value": SECRETS["env"]}],
        "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}},
    }
    spec = {
        "nodeName": "node-n4m3",
        "containers": [container],
        "initContainers": [container],
        "imagePullSecrets": [{"name": SECRETS["pull secret"]}],
        "volumes": [{"name": "v", "secret": {"secretName": SECRETS["volume"]}}],
        "resourceClaims": [{"name": "claim-n4m3", "resourceClaimName": "claim-n4m3"}],
    }
    server.put(FOLDER["ResourceClaim"], "claim-n4m3", namespace="space-n4m3", spec={"devices": {}})
    put_salted(server, note, meta, spec)
    return server


def put_salted(server, note, meta, spec):
    """A node, a pod of this spec, and one that has ended."""
    server.put(
        FOLDER["Node"], "node-n4m3",
        metadata={"annotations": note, "labels": {"kubernetes.io/hostname": "node-n4m3"}},
        status={"allocatable": {"cpu": "8", "nvidia.com/gpu": "8"}, "conditions": [
            {"type": "Ready", "status": "True", "message": SECRETS["status"]}]},
    )  # fmt: skip
    server.put(
        FOLDER["Pod"], "pod-n4m3", namespace="space-n4m3", metadata=dict(meta), spec=spec,
        status={"phase": "Running", "message": SECRETS["status"]},
    )  # fmt: skip
    server.put(
        FOLDER["Pod"], SECRETS["finished pod"], namespace="space-n4m3", spec=spec,
        status={"phase": "Failed"},
    )  # fmt: skip


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = cli.main(list(map(str, arguments)))
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def texts(folder):
    return "\n".join(path.read_text() for path in sorted(folder.iterdir()))


async def test_a_dump_of_a_salted_cluster_has_none_of_its_secrets(run, tmp_path):
    async with salted() as server:
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(kubeconfigs.of(server.url)))
        asked = ("dump", "--kubeconfig", config)
        plain = await asyncio.to_thread(run, *asked, "-o", tmp_path / "plain")
        hashed = await asyncio.to_thread(run, *asked, "-o", tmp_path / "hashed", "--hash-names")

    assert (plain[0], hashed[0]) == (0, 0), (plain, hashed)
    for folder in ("plain", "hashed"):
        text = texts(tmp_path / folder)
        assert "nvidia.com/gpu" in text
        assert {what for what, secret in SECRETS.items() if secret in text} == set()
    assert {name for name in IN_NAMES if name in texts(tmp_path / "hashed")} == set()
    assert "pod-n4m3" in texts(tmp_path / "plain")
    assert "kubernetes v1.36.3" in (tmp_path / "plain" / "versions.txt").read_text()
    assert "read 1 Node" in plain[2]


# What is read, and so stays: by names are the texts that are names, which --hash-names replaces.
READ = {
    "device attribute uuid", "device attribute serial", "device attribute token",
    "node condition reason", "runtimeClassName",
}  # fmt: skip
BY_NAME = {"providerID"} | {
    f"{kind} generateName" for kind in ("pod", "node", "claim", "class", "tmpl", "slice", "rule")
}


@pytest.mark.parametrize(("flags", "stays"), [((), READ | BY_NAME), (("--hash-names",), READ)])
def test_of_secrets_in_every_field_of_every_kind_only_what_is_read_stays(
    run, tmp_path, flags, stays
):
    salts = salted_objects.Salts()
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": salts.items}))

    status, _, err = run("dump", "--snapshot", cluster, "-o", tmp_path / "out", *flags)

    assert status == 0, err
    text = texts(tmp_path / "out")
    assert len(salts.where) > 150
    assert {what for secret, what in salts.where.items() if secret in text} <= stays


async def test_a_cluster_that_refuses_us_is_an_error_and_nothing_is_written(run, tmp_path):
    server = salted()
    server.forbidden.add(FOLDER["Pod"])
    async with server:
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(kubeconfigs.of(server.url)))
        status, _, err = await asyncio.to_thread(
            run, "dump", "--kubeconfig", config, "-o", tmp_path / "out"
        )

    assert status == 2
    assert "Pod" in err
    assert not (tmp_path / "out").exists()


def test_an_earlier_dump_is_not_written_over_unless_given_leave(run, tmp_path):
    cluster = write(tmp_path / "cluster.yaml", make_node("a"))
    asked = ("dump", "--snapshot", cluster, "-o", tmp_path / "out")

    assert run(*asked)[0] == 0
    (tmp_path / "out" / "mine.txt").write_text("mine")
    status, _, err = run(*asked)
    assert status == 2
    assert "is not empty; --force" in err
    assert run(*asked, "--force")[0] == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert "is no folder" in run("dump", "--snapshot", cluster, "-o", tmp_path / "file")[2]


# ---------------------------------------------------------------- equal answers


def demo():
    found = snapshots.read([settings.embedded("demo")]).objects
    return [(kind, item) for kind, one in found if (item := redaction.redacted(one)) is not None]


QUESTIONS = (
    ("explain", "--pod", "default/train-0", "-o", "json", "--all"),
    ("explain", "--pod", "default/train-0"),
    ("predict", "--pod", "default/train-0", "-o", "json"),
    ("capacity", "--shape", "nvidia.com/gpu=4", "-o", "json"),
    ("capacity", "--pod", "default/train-0", "-o", "json"),
)


def test_every_offline_command_answers_a_dump_as_the_cluster(run, tmp_path):
    demo_folder = settings.embedded("demo")
    run("dump", "--snapshot", demo_folder, "-o", tmp_path / "plain")
    run("dump", "--snapshot", demo_folder, "-o", tmp_path / "hashed", "--hash-names")
    names = hashed_names.HashedNames(demo()).table
    policy = tmp_path / "plain" / "policy.yaml"

    for command, *asked in QUESTIONS:
        status, reported, _ = run(command, "--snapshot", demo_folder, *asked)
        assert run(command, "--snapshot", tmp_path / "plain", "--policy", policy, *asked)[:2] == (
            status,
            reported,
        )
        anew = [renamed(text, names) if "/train" in text else text for text in asked]
        again = run(command, "--snapshot", tmp_path / "hashed", *anew)
        assert again[0] == status
        if "json" in asked:
            # Byte for byte, once each new name is the old one again.
            assert renamed(again[1], {new: old for old, new in names.items()}) == reported


def renamed(text, names):
    """The text with every name replaced that stands there as a word."""
    words = {name: new for name, new in names.items() if len(name) > 1}
    pattern = "|".join(re.escape(name) for name in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{pattern})(?![\w.-])", lambda match: words[match[0]], text)


def test_names_keep_their_order_and_nodes_that_of_their_checksums():
    items = [("Node", make_node(f"gpu-{n * 7919 % 1000}-rack").obj()) for n in range(300)]
    names = hashed_names.HashedNames(items)
    olds = [item.metadata.name for _, item in items]

    def order(key):
        return sorted(range(len(olds)), key=key)

    assert order(lambda n: olds[n]) == order(lambda n: names.of(olds[n]))
    assert order(lambda n: zlib.crc32(olds[n].encode())) == order(
        lambda n: zlib.crc32(names.of(olds[n]).encode())
    )
    assert len(set(names.table.values())) == len(names.table)


def test_a_name_is_the_same_wherever_it_stands():
    pool = make_slice("rack-1-gpus", "gpu.example.com").on("rack-1").device("gpu-0")
    pod = make_pod("job-0", "ml").node("rack-1").label("host", "rack-1")
    items = [("Node", make_node("rack-1").obj()), ("ResourceSlice", pool.obj()), ("Pod", pod.obj())]
    names = hashed_names.HashedNames(items)

    _, sliced, placed = (names.hashed(kind, item) for kind, item in items)

    new = names.of("rack-1")
    assert sliced.spec.node_name == sliced.spec.pool.name == new
    assert placed.spec.node_name == placed.metadata.labels["host"] == new
    assert sliced.spec.devices[0].name == "gpu-0"
