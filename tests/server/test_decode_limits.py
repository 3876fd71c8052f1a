"""Large bodies are counted before they are decoded; what they cost is bounded, and given back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extender.errors import WireError
from extender.server import decode_limits, wire

SIZE = 2 * decode_limits.UNCHECKED_BYTES


def many(part):
    return part * (SIZE // len(part))


@pytest.mark.parametrize(
    ("read", "body", "status"),
    [
        pytest.param(
            wire.question,
            b'{"Pod":{},"NodeNames":[' + many(b'"ab",') + b'""]}',
            413,
            id="names",
        ),
        pytest.param(
            wire.question,
            b'{"Pod":{},"Nodes":{"items":[' + many(b"{},") + b"{}]}}",
            413,
            id="nodes",
        ),
        pytest.param(
            wire.question,
            b'{"Pod":{},"Nodes":{"items":[' + many(b"null,") + b"{}]}}",
            413,
            id="nulls for nodes",
        ),
        pytest.param(
            wire.question,
            b'{"Pod":{"spec":{"containers":[' + many(b"{},") + b'{}]}},"NodeNames":[]}',
            413,
            id="containers",
        ),
        pytest.param(
            wire.question,
            b'{"Pod":{"metadata":{"name":"' + many(b"xxxx") * 3 + b'"}},"NodeNames":[]}',
            413,
            id="a name of megabytes",
        ),
        pytest.param(
            wire.question,
            b'{"pod":{},"x":[' + many(b"{},") + b"{}]}",
            400,
            id="keys in another case",
        ),
        pytest.param(
            wire.preemption,
            b'{"Pod":{},"NodeNameToVictims":{' + many(b'"a":null,') + b'"b":{}}}',
            413,
            id="nulls for victims",
        ),
        pytest.param(
            wire.preemption,
            b'{"Pod":{},"NodeNameToVictims":{"a":{"Pods":[' + many(b"{},") + b"{}]}}}",
            413,
            id="victims",
        ),
        pytest.param(
            wire.preemption,
            b'{"Pod":{},"NodeNameToMetaVictims":{"a":{"Pods":[' + many(b"{},") + b"{}]}}}",
            413,
            id="victims by UID",
        ),
        pytest.param(wire.question, b"[" * SIZE, 400, id="nesting"),
        pytest.param(wire.question, b'"' + b"\xff" * SIZE + b'"', 400, id="no UTF-8"),
    ],
)
def test_what_would_grow_when_decoded_is_refused(read, body, status):
    with pytest.raises(WireError) as refused:
        read(body)

    assert refused.value.status == status


def test_thousands_of_whole_nodes_are_read():
    items = (b'{"metadata":{"name":"n%d"},"x":"%b"}' % (n, b"y" * 400) for n in range(5000))
    body = b'{"Pod":{},"Nodes":{"items":[' + b",".join(items) + b"]}}"
    assert len(body) > decode_limits.UNCHECKED_BYTES

    assert len(wire.question(body).asked.names) == 5000


# What a large body may be made of: items and other parts, usual and not.
ITEMS = st.lists(
    st.sampled_from(
        [
            '{"metadata":{"name":"a"}}',
            '{"metadata":{"name":"b","x":[{}]}}',
            '{"kind":"Node", "metadata": {"name" : "c"} }',
            '{"metadata":{"name":"d"},"metadata":{"name":"e"}}',
            '{"metadata":{"name":"\\u00e9\\"q"}}',
            '{"Metadata":{"NAME":"f"}}',
            '{"metadata":{"name":null}}',
            '{"metadata":null}',
            '{"metadata":{"name":7}}',
            "{}",
            "null",
            "7",
            '{"metadata":{"name":"g"}',
        ]
    ),
    max_size=5,
)
PODS = st.sampled_from(['{"metadata":{"name":"p"}}', '{"metadata":null}', '{"spec":7}', "null", ""])
ENDS = st.sampled_from(
    ["", ',"NodeNames":null', ',"NodeNames":["n"]', ',"Nodes":null', ',"Nodes":{}', ',"x":{}', "}"]
)


@given(pod=PODS, items=ITEMS, end=ENDS)
@example(pod='{"metadata":{"name":"p"}}', items=['{"metadata":{"name":"a"}}'], end="")
def test_large_bodies_are_read_as_with_more_care(pod, items, end):
    """The two passes that the usual large body takes find what the careful way finds."""
    first = f'"Pod":{pod},' if pod else ""
    body = f'{{{first}"Nodes":{{"metadata":{{}},"items":[{",".join(items)}]}}{end}}}'.encode()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decode_limits, "UNCHECKED_BYTES", 0)
        usual = outcome(body)
        patched.setattr(decode_limits, "named_nodes", lambda _: None)
        careful = outcome(body)

    assert usual == careful


def outcome(body):
    try:
        found = wire.question(body)
    except WireError as refused:
        return refused.status
    asked = found.asked
    return found.pod, asked.names, [bytes(item) for item in getattr(asked, "items", ())]


def test_the_usual_large_body_takes_the_two_passes():
    body = (
        b'{"Pod":{},"Nodes":{"metadata":{},"items":[{"metadata":{"name":"a"}}]},"NodeNames":null}'
    )

    assert decode_limits.named_nodes(body).names == ["a"]


def test_as_many_names_as_any_cluster_has_are_read():
    names = b",".join(b'"node-%06d"' % number for number in range(100_000))
    body = b'{"Pod":{},"NodeNames":[' + names + b"]}"
    assert len(body) > decode_limits.UNCHECKED_BYTES

    assert len(wire.question(body).asked.names) == 100_000
