"""What pages say of counts, of pods that wait or are gone, and of what would free one."""

import re

import pytest

from extender.history import decision_history, decision_recorder
from extender.page import rendering
from extender.page.views import decision_view
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed
from tests.page.served_pages import cluster, got, serving


def shared():
    """A node whose eight GPUs are shared by four each, a unit of them held."""
    judging = engine()
    node = make_node("s").gpus(H100, 32).label("nvidia.com/gpu.replicas", "4")
    node.label("nvidia.com/gpu.count", "8").label("nvidia.com/gpu.sharing-strategy", "time-slicing")
    feed(judging, node, make_pod("p").gpus(5).node("s").phase("Running"))
    judging.settle()
    return judging


async def test_gpus_in_shares_are_not_counted_as_whole_ones_on_any_page():
    async with serving(shared()) as session:
        _, overview = await got(session, "/")
        _, node = await got(session, "/nodes/s")
        _, capacity = await got(session, "/capacity?shape=nvidia.com/gpu%3D8")

        assert "by whole free GPUs alone" in overview
        cells = re.findall(r'<td class="n">([^<]*)</td>', overview.partition("<tfoot>")[2])
        assert cells[-4:] == ["0", "0", "0", "0"]
        assert "6.8 <small>of 8, in shares; 0 whole</small>" in node
        assert "on s a unit is a quarter of a GPU" in capacity


async def test_what_would_free_a_pod_names_the_node_and_links_the_pod_that_would_leave():
    async with serving(cluster()) as session:
        _, text = await got(session, "/pods/ml/more")

        free = re.sub(r"\s+", " ", text.partition("What would free it")[2])
        plain = re.sub(r"<[^>]*>", "", free)
        assert "h-1 (5 of 8 GPUs free) would take it" in plain
        assert "if ml/train (3 GPUs, priority 0) leaves" in plain
        assert 'if <a href="/pods/ml/train">ml/train</a>' in free


async def test_a_pod_that_is_gone_says_so_with_its_last_decision():
    judging, history = cluster(), decision_history.DecisionHistory(wall=lambda: 1_000_000.0)
    decision_recorder.DecisionRecorder(judging, history).attach()
    pod = make_pod("brief", "ml").gpus(1)
    feed(judging, pod)
    judging.filter(pod.obj(), ["h-1"])
    judging.store.apply("Pod", "DELETED", pod.obj())
    judging.settle()
    async with serving(judging, history=history) as session:
        answer, text = await got(session, "/pods/ml/brief")

        assert answer.status == 200
        assert "This pod is gone: it ended or was deleted" in text
        assert 'href="/decisions/1"' in text
        assert 'href="/pods"' in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (119, "119 s"), (1500, "25 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_a_duration_is_said_as_people_say_it(seconds, text):
    assert decision_view.duration(seconds) == text


def test_an_age_that_is_not_published_is_not_shown():
    assert decision_view.age("", 0.0) == ""
    assert decision_view.age("1970-01-01T00:00:00Z", 60.0) == "60 s"


async def test_where_a_pod_would_go_names_no_node_that_kube_scheduler_refuses():
    judging = engine()
    feed(judging, make_node("full").gpus(H100, 8).allocatable(cpu="8", memory="64Gi", pods="99"))
    feed(judging, make_node("roomy").gpus(H100, 8).allocatable(cpu="96", memory="64Gi", pods="99"))
    feed(judging, make_pod("waits").gpus(2).request("cpu", 12))
    judging.settle()
    async with serving(judging) as session:
        _, text = await got(session, "/pods/default/waits")

        assert "needs 12 CPU" in text
        best = text.partition("Where it would go")[2].partition("</section>")[0]
        assert "roomy" in best
        assert "full" not in best


@pytest.mark.parametrize(
    ("gib", "text"), [(999.9, "1,000 GiB"), (62.54, "62.5 GiB"), (2016.0, "1.97 TiB")]
)
def test_memory_is_a_plain_number(gib, text):
    assert rendering.amount(gib) == text
