"""The pages over HTTP: what they show, their headers, and that nothing of the cluster is markup."""

import asyncio
import html.parser
import re

import pytest

from extender.page import rendering
from tests.kit.builders import make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, engine, feed
from tests.page.served_pages import cluster, got, serving

EVIL = "<script>alert(1)</script>"


def hostile():
    judging = engine()
    odd = make_slice("s", GPU).on("n").device("gpu-0", productName=EVIL, note='"><img src=x>')
    feed(judging, make_node("n").label("node-pool", EVIL).label("rack", '"><b>'), odd)
    feed(judging, make_node("m").gpus(EVIL, 8).condition(EVIL, EVIL), make_pod(EVIL, EVIL).gpus(9))
    judging.settle()
    return judging


class Tags(html.parser.HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


PAGES = [
    "/",
    "/pools/research",
    "/pools/research?state=part&q=h",
    "/nodes/h-1",
    "/nodes/p4d-1",
    f"/nodes/p4d-1/devices/{GPU}/p4d-1/gpu-0",
    "/nodes/h-1/devices/nvidia.com/gpu-0",
    "/pods",
    "/pods?q=train",
    "/pods/ml/train",
    "/pods/ml/big",
    "/pods/ml/more",
    "/pods/ml/more?node=h-1",
    "/pods/ml/train?node=p4d-1",
    "/decisions",
    "/capacity",
    "/capacity?shape=nvidia.com/gpu%3D6",
    "/capacity?pod=ml/more",
    "/history",
    "/policy",
    "/shadow",
    "/search?q=p4d",
    "/search",
    "/annotations",
]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_whole_and_loads_nothing_from_elsewhere(path):
    async with serving(cluster()) as session:
        answer, text = await got(session, path)

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        tags = Tags(text).found
        assert [tag for tag, _ in tags].count("h1") == 1
        for tag, attributes in tags:
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            if tag == "script":
                assert attributes["src"].startswith("/static/")
        links = {a.get("href") or a.get("src") for _, a in tags} - {None}
        assert not [each for each in links if not each.startswith(("/", "#"))]


async def test_every_link_of_every_page_leads_somewhere():
    async with serving(cluster()) as session:
        known, left = set(), set(PAGES)
        while left:
            path = left.pop()
            known.add(path)
            answer, text = await got(session, path)
            assert answer.status == 200, path
            if path.startswith("/static/"):
                continue
            for _, attributes in Tags(text).found:
                href = (attributes.get("href") or "").partition("#")[0]
                if href.startswith("/") and href not in known:
                    left.add(href)
        assert f"/nodes/p4d-1/devices/{GPU}/p4d-1/gpu-7" in known


@pytest.mark.parametrize(
    "path",
    ["/", "/pools/script-alert-1-script", "/nodes/n", "/nodes/m", "/pods", "/search?q=%3Cscr"],
)
async def test_what_the_cluster_tells_is_text(path):
    async with serving(hostile()) as session:
        answer, text = await got(session, path)

        assert answer.status == 200
        assert "<script>" not in text
        assert "<img" not in text
        assert "<b>" not in text.replace("<b>0</b>", "")


async def test_an_address_that_is_markup_comes_back_as_text():
    async with serving(cluster()) as session:
        answer, text = await got(session, f"/nodes/{EVIL.replace('/', '%2F')}")

        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "Content-Security-Policy" in answer.headers
        assert "<script>" not in text
        assert "There is nothing here" in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nodes/nobody", 404),
        ("/nodes/h-1/devices/a/b/c", 404),
        ("/nodes/h-1/other", 404),
        ("/pods/ml/nobody", 404),
        ("/pools/nothing", 404),
        ("/pools/research?page=0", 400),
        ("/pools/research?page=x", 400),
        ("/pools/research?state=odd", 400),
        ("/?odd=1", 400),
        ("/map/nothing", 404),
        ("/decisions/1", 404),
        ("/decisions/x", 404),
        ("/capacity?shape=odd", 400),
        ("/capacity?pod=ml/nobody", 404),
    ],
)
async def test_what_is_not_there_is_said_so(path, status):
    async with serving(cluster()) as session:
        answer, _ = await got(session, path)

        assert answer.status == status


async def test_pages_only_read():
    async with serving(cluster()) as session, session.post("/") as answer:
        assert answer.status == 405


async def test_before_the_first_sync_a_page_says_what_is_awaited():
    async with serving(engine(), waiting={"Pod": "is listing"}) as session:
        answer, text = await got(session, "/")

        assert answer.status == 503
        assert "Pod is listing" in text
        assert answer.headers["Retry-After"] == "1"


async def test_an_empty_cluster_has_a_page():
    async with serving(engine()) as session:
        answer, text = await got(session, "/")

        assert answer.status == 200
        assert "No nodes are known" in text


async def test_static_files_carry_their_content_in_the_name_and_are_kept_for_good():
    async with serving(cluster()) as session:
        _, text = await got(session, "/")
        (style,) = re.findall(r'href="(/static/page\.[0-9a-f]{12}\.css)"', text)

        answer, _ = await got(session, style)

        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
        assert "immutable" in answer.headers["Cache-Control"]


async def test_who_asks_for_another_page_meanwhile_waits_instead_of_being_turned_away():
    async with serving(cluster()) as session:
        names = ["h-1", "p4d-1", "h-1", "p4d-1", "h-1"]

        answers = await asyncio.gather(*(got(session, f"/nodes/{name}") for name in names))

        assert [answer.status for answer, _ in answers] == [200] * 5


async def test_the_questions_of_a_stranger_have_answers():
    async with serving(cluster()) as session:
        _, overview = await got(session, "/")
        _, pods = await got(session, "/pods")
        _, waits = await got(session, "/pods/ml/more")
        _, device = await got(session, f"/nodes/p4d-1/devices/{GPU}/p4d-1/gpu-0")
        _, policy = await got(session, "/policy")

        assert "most fragmented" in overview
        assert "fits no node" in pods
        assert "needs 6 GPUs" in pods
        free = waits.partition("What would free it")[2]
        assert "ml/train" in free
        assert "held-p4d-1-gpu-0" in device
        assert "apiVersion: railyard.dev/v1alpha1" in policy


async def test_the_overview_says_why_pods_wait_and_whether_a_candidate_is_tried():
    async with serving(cluster()) as session:
        _, text = await got(session, "/")

        waits = text.partition("Why pods wait")[2].partition("</section>")[0]
        assert "ml/more" in waits
        assert "needs 6 GPUs" in waits
        assert "What would free it" in waits
        policy = text.partition('<h2 id="policy">')[2].partition("</section>")[0]
        assert 'No <a href="/shadow">candidate</a> is tried' in policy


async def test_a_share_stands_beside_the_numbers_it_is_of():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
    feed(judging, make_pod("p").gpus(6).node("b"))
    judging.settle()
    async with serving(judging) as session:
        _, text = await got(session, "/")

        assert "20 % <small>(2 of 10)</small>" in text
        assert "of 10 free: fragmented 20 %" in text
        assert "Whole cluster" in text


async def test_one_model_has_one_name_and_the_nodes_own_spellings_are_reported():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus("NVIDIA H100 80GB HBM3", 8))
    judging.settle()
    async with serving(judging) as session:
        _, text = await got(session, "/")
        _, pool = await got(session, "/pools/nvidia-h100-80gb-hbm3")
        _, node = await got(session, "/nodes/a")

        assert "16 of 16 GPUs free on 2 nodes" in text
        assert f'title="Nodes spell it {H100}"' in text
        assert f"spell the model {H100}" in pool
        assert f'title="The node spells it {H100}">NVIDIA H100 80GB HBM3' in node


async def test_an_annotation_that_is_not_believed_names_who_holds_the_devices_and_what_to_do():
    judging = engine()
    feed(judging, make_node("n").gpus(H100, 8))
    for name in ("first", "second"):
        pod = make_pod(name, "ml").gpus(1).node("n").phase("Running")
        feed(judging, pod.annotation("railyard.dev/devices", "nvidia.com/gpu=0"))
    judging.settle()
    async with serving(judging) as session:
        _, overview = await got(session, "/")
        _, page = await got(session, "/annotations")

        assert 'href="/annotations"' in overview
        assert "that another pod holds: ml/first" in overview
        assert 'href="/pods/ml/second"' in page
        assert "kubectl annotate pod POD railyard.dev/devices-" in page


async def test_units_that_are_on_no_known_gpu_are_counted_in_words():
    judging = engine()
    feed(judging, make_node("n").gpus(H100, 0).resource("nvidia.com/mig-1g.10gb", 14))
    judging.settle()
    async with serving(judging) as session:
        _, text = await got(session, "/")

        assert "0 of 14 mig-1g.10gb held" in text


async def test_a_page_leaves_nothing_behind():
    judging = cluster()
    async with serving(judging) as session:
        before = judging.store.version, len(judging.index.reservations)
        for path in PAGES:
            await got(session, path)

        assert (judging.store.version, len(judging.index.reservations)) == before
        assert judging.index.verify() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (-0.0, "0.00"), (-0.004, "0.00"), (-0.006, "-0.01"), (2, "2.00")],
)
def test_a_cost_of_almost_nothing_has_no_sign(value, text):
    assert rendering.decimals(value) == text
