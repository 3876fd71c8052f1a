"""The service as kube-scheduler sees it: recorded and model bodies over HTTP."""

import json
import pathlib

import aiohttp
import pytest
import yaml

from extender import settings
from extender.service import live
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)

WIRE = pathlib.Path(__file__).parents[1] / "golden" / "wire"
GPU, NIC = "gpu.nvidia.com", "rdma.example.com"
H200 = [f"gpu-h200-r00-n{number:03}.eu-north1-a" for number in range(8)]


def h200(name, *, nic=True):
    """Two PCIe roots with four GPUs each, one NIC behind the first."""
    gpus = make_slice(f"{name}-gpu", GPU).on(name)
    for number in range(8):
        gpus.device(f"gpu-{number}", type="gpu", pcieRoot=f"pci{number // 4}")
    yield make_node(name)
    yield gpus
    if nic:
        yield make_slice(f"{name}-nic", NIC).on(name).device("nic-0", pcieRoot="pci0")


def model_cluster():
    """The cluster of the model bodies: five nodes fit, two are broken up, one has no NIC."""
    for number, name in enumerate(H200):
        yield from h200(name, nic=number != 7)
        if number in {5, 6}:
            results = [("r", GPU, name, "gpu-0"), ("r", GPU, name, "gpu-4")]
            yield make_claim(f"held-{number}").allocated(name, *results)
    yield make_class(GPU)
    yield make_class(NIC)
    same_root = make_template("four-gpus-one-pcie-root", "ml-team-a").request("gpu", GPU, 4)
    yield same_root.match("resource.kubernetes.io/pcieRoot")
    yield make_template("rdma-nic", "ml-team-a").request("nic", NIC)


def recorded_cluster():
    """The cluster that the recorded bodies come from: three plug-in nodes, two with slices."""
    for number in (0, 2, 4):
        yield make_node(f"node-0000{number}").resource("nvidia.com/gpu", 8)
    for number in (1, 3):
        yield from h200(f"node-0000{number}")
    yield make_class(GPU)
    yield make_class(NIC)
    pair = make_template("gpunicm").request("gpu", GPU).request("nic", NIC)
    yield pair.match("resource.kubernetes.io/pcieRoot")
    yield make_template("first").first_available("r", ("eight", GPU, 9), ("one", GPU, 1))
    yield make_pod("held").uid("54d4af4d-7836-48cd-8284-692b68e49180").gpus(4).node("node-00000")


@pytest.fixture
async def serving(tmp_path):
    """Start a service over the given builders; yields a function to post to it."""
    free = settings.Address("127.0.0.1", 0)
    opened = []

    async def start(cluster):
        path = tmp_path / "cluster.yaml"
        items = []
        for builder in cluster:
            body = json.loads(json.dumps(builder.body))
            body["kind"] = builder.kind
            served = "v1" if builder.kind in {"Node", "Pod"} else "resource.k8s.io/v1"
            items.append(body | {"apiVersion": served})
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
        context = live.opened(settings.Settings(snapshot=(path,), bind=free, admin_bind=free))
        sites = await context.__aenter__()
        session = aiohttp.ClientSession()
        opened.extend([(context, session)])

        async def ask(path, body=None):
            where = sites.bound if body is not None else sites.admin_bound
            if body is None:
                answer = await session.get(f"http://{where}{path}")
            else:
                answer = await session.post(f"http://{where}{path}", data=body)
            async with answer:
                return answer.status, await answer.read()

        return ask

    yield start
    for context, session in opened:
        await session.close()
        await context.__aexit__(None, None, None)


def body(name):
    return (WIRE / f"{name}.request.json").read_bytes()


def model(name):
    return json.loads((WIRE / f"{name}.json").read_text())


async def test_the_model_filter_is_answered_as_its_model_response(serving):
    ask = await serving(model_cluster())

    status, answer = await ask("/filter", body("01_filter_nodenames_dra_pod"))

    assert status == 200
    assert json.loads(answer) == model("01_filter_nodenames_dra_pod.response") | {
        "FailedNodes": dict.fromkeys(
            H200[5:7],
            "needs 4 GPUs behind one PCIe root + 1 NIC; "
            "no PCIe root has them all free (most: 3 GPUs)",
        ),
        "FailedAndUnresolvableNodes": {
            H200[7]: "needs 4 GPUs behind one PCIe root + 1 NIC; node has 8 GPUs, but no NIC"
        },
    }


async def test_the_model_prioritize_scores_every_node_with_integers(serving):
    ask = await serving(model_cluster())

    _, answer = await ask("/prioritize", body("03_prioritize_nodenames_dra_pod"))

    scores = json.loads(answer)
    assert [each["Host"] for each in scores] == H200
    assert all(type(each["Score"]) is int and 0 <= each["Score"] <= 10 for each in scores)
    assert b"." not in b"".join(answer.split(b'"')[::2])


async def test_a_nominated_node_gets_the_verdict_it_has_in_a_long_list(serving):
    ask = await serving(model_cluster())
    _, long = await ask("/filter", body("01_filter_nodenames_dra_pod"))

    _, single = await ask("/filter", body("04_filter_single_nominated_node"))

    assert json.loads(single)["NodeNames"] == [H200[3]]
    assert H200[3] in json.loads(long)["NodeNames"]


async def test_whole_nodes_come_back_byte_for_byte(serving):
    ask = await serving(model_cluster())
    asked = body("02_filter_full_nodes_2")

    _, answer = await ask("/filter", asked)

    nodes = asked[asked.index(b'"Nodes":') :]
    items = nodes[nodes.index(b'"items":') : nodes.rindex(b'},"NodeNames"')]
    assert items in answer
    assert json.loads(answer)["NodeNames"] is None


@pytest.mark.parametrize(("name", "count"), [("06", 500), ("07", 750)])
async def test_long_lists_of_unknown_nodes_pass_unjudged(serving, name, count):
    ask = await serving(model_cluster())

    _, answer = await ask("/filter", body(f"{name}_filter_nodenames_{count}"))

    answer = json.loads(answer)
    refused = {**answer["FailedNodes"], **answer["FailedAndUnresolvableNodes"]}
    assert set(refused) == {H200[5], H200[6], H200[7]}
    assert len(answer["NodeNames"]) == count - 3
    _, metrics = await ask("/metrics")
    assert f"railyard_unknown_nodes_total {count - 8}.0".encode() in metrics


async def test_an_extended_resource_pod_is_refused_where_no_plugin_and_no_class_serves_it(serving):
    ask = await serving([*model_cluster(), make_node("plugin").gpus("H200", 8)])

    _, answer = await ask("/filter", body("05_filter_nodenames_extended_resource_pod"))

    assert set(json.loads(answer)["FailedAndUnresolvableNodes"]) == set(H200)


async def test_a_pod_group_member_is_answered_the_same_however_often(serving):
    ask = await serving(model_cluster())
    asked = body("12_filter_nodenames_podgroup_pod_1.36")

    answers = {(await ask("/filter", asked))[1] for _ in range(5)}

    assert len(answers) == 1


async def test_preemption_is_answered_with_meta_victims_only(serving):
    ask = await serving(model_cluster())

    for name in ("08_preempt_meta_victims", "09_preempt_full_victims"):
        _, answer = await ask("/preempt", body(name))
        found = json.loads(answer)
        assert list(found) == ["NodeNameToMetaVictims"]
        assert b"null" not in answer
    _, answer = await ask("/preempt", body("08_preempt_meta_victims"))
    victims = json.loads(answer)["NodeNameToMetaVictims"]
    expected = model("08_preempt_meta_victims.response")["NodeNameToMetaVictims"]
    assert victims[H200[0]] == expected[H200[0]]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=f"{path.parent.name} {path.stem}")
        for path in sorted(WIRE.glob("captured/*/*.json"))
    ],
)
async def test_every_recorded_body_is_answered(serving, path):
    ask = await serving(recorded_cluster())
    verb, mode, _ = path.stem.split("-", 2)
    asked = json.loads(path.read_bytes())

    status, raw = await ask(f"/{verb}", path.read_bytes())

    assert status == 200
    answer = json.loads(raw)
    if verb == "preempt":
        assert set(answer) == {"NodeNameToMetaVictims"}
    elif verb == "prioritize":
        names = asked["NodeNames"] or [n["metadata"]["name"] for n in asked["Nodes"]["items"]]
        assert [each["Host"] for each in answer] == names
    else:
        _check_filter(asked, answer, mode)


def _check_filter(asked, answer, mode):
    assert answer["Error"] == ""
    if mode == "nodes":
        assert answer["NodeNames"] is None
        passed = answer["Nodes"]["items"]
        assert all(item in asked["Nodes"]["items"] for item in passed)
        names = [item["metadata"]["name"] for item in passed]
        wanted = [item["metadata"]["name"] for item in asked["Nodes"]["items"]]
    else:
        names, wanted = answer["NodeNames"], asked["NodeNames"]
    refused = {**answer["FailedNodes"], **answer["FailedAndUnresolvableNodes"]}
    assert sorted([*names, *refused]) == sorted(wanted)


async def test_a_pod_without_devices_is_scored_once_there_is_demand_to_keep_room_for(serving):
    recorded = (WIRE / "captured/1.36.3/prioritize-names-cpu-only.json").read_bytes()
    idle = await serving([make_node(f"node-0000{number}") for number in range(5)])
    busy = await serving(recorded_cluster())

    _, nothing = await idle("/prioritize", recorded)
    _, scores = await busy("/prioritize", recorded)

    assert nothing == b"[]"
    assert len(json.loads(scores)) == 5


async def test_the_admin_port_answers_probes_and_questions(serving):
    ask = await serving(model_cluster())

    for path in ("/livez", "/readyz", "/metrics", "/v1/topology", "/v1/verify", "/v1/mismatches"):
        status, answer = await ask(path)
        assert (path, status) == (path, 200)
        assert answer
    assert json.loads((await ask("/v1/verify"))[1]) == {"equal": True, "problems": []}
