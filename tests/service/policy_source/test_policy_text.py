"""The text of a policy is hostile until it was read: bounded, and refused with its place."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender import errors
from extender.kube.api import objects
from extender.policy import config
from extender.service import assembly
from extender.service.policy_source import policy_text


def refused(text):
    with pytest.raises(errors.ConfigError) as found:
        policy_text.parse_file(text, source="S")
    return str(found.value)


def test_json_is_yaml_too():
    found = policy_text.parse('{"scores": {"maximum": 5}, "avoidConditions": ["A"]}', source="S")

    assert (found.scores.maximum, found.avoid_conditions) == (5, ("A",))


def test_braces_are_the_default_and_nothing_at_all_is_no_policy():
    assert policy_text.parse("{}", source="S") == config.DEFAULT
    for text in ("", "# nothing", "---\n", "null"):
        assert "is empty; {} stands for all the defaults" in refused(text)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        pytest.param("reservationSeconds: 2024-13-45", "got 2024-13-45", id="no date"),
        pytest.param("reservationSeconds: " + "9" * 5000, "expected a number", id="5,000 digits"),
        pytest.param("scores: {maximum: " + "9" * 30 + "}", "<= 1000", id="30 digits"),
        pytest.param("reservationSeconds: 1e400", "got 1e400", id="beyond a double"),
        pytest.param("reservationSeconds: .nan", "got .nan", id="not a number"),
        pytest.param("reservationSeconds: .inf", "got .inf", id="infinite"),
        pytest.param("reservationSeconds: 0x10", "got 0x10", id="to base 16"),
        pytest.param("reservationSeconds: 10:20", "got 10:20", id="to base 60"),
        pytest.param("kubernetesVersion: 1.30", "put it in quotes", id="a version as a number"),
        pytest.param("kubernetesVersion: latest", "not a Kubernetes version", id="no version"),
        pytest.param("[" * 10_000, "more than 12 levels", id="deep sequences"),
        pytest.param("{a: " * 10_000, "more than 12 levels", id="deep mappings"),
        pytest.param("- " * 10_000, "more than 12 levels", id="deep blocks"),
        pytest.param("? " * 10_000, "more than 12 levels", id="deep keys"),
        pytest.param("a: " + "x" * 500_000, "500003 bytes", id="half a megabyte"),
        pytest.param("a: [" + "1," * 60_000 + "]", "more than 4000 values", id="many values"),
        pytest.param("a: &a [1]\nb: [*a]", "line 2: an alias (*a)", id="alias"),
        pytest.param("a: &a 1", "an anchor (&a)", id="anchor"),
        pytest.param("<<: {kind: Pod}", "a merge key", id="merge key"),
        pytest.param("kind: !!python/name:os.system x", "line 1: a tag", id="tag"),
        pytest.param("kind: ! x", "a tag", id="a tag without a name"),
        pytest.param("%TAG ! a\n---\n{}", "directive", id="directive"),
        pytest.param("{}\n---\n{}", "2 documents", id="documents"),
        pytest.param("cpuPods: Score\x00", "character 15", id="NUL"),
        pytest.param("cpuPods: \ud800", "surrogates", id="half a character"),
        pytest.param("a: b: c", "line 1, column 5", id="no YAML"),
        pytest.param("scores: {maximum: 5}\nscores: {maximum: 6}", "again in line 2", id="twice"),
        pytest.param("[a]: 1", "no name of a field", id="a list as a key"),
        pytest.param("{a: 1}: 1", "no name of a field", id="a mapping as a key"),
        pytest.param("kind: Deployment", "expected PlacementPolicy", id="another kind"),
        pytest.param("kind: ConfigMap\ndata: {policy.yml: a}", "it has policy.yml", id="key"),
        pytest.param("kind: ConfigMap\nbinaryData: {policy.yaml: a}", "is binary", id="binary"),
        pytest.param("kind: ConfigMap\ndata: [a]", "no policy.yaml", id="data that is a list"),
    ],
)
def test_what_is_no_policy_is_refused_and_named(text, reported):
    assert reported in refused(text)


def test_problems_of_the_text_and_of_the_fields_are_reported_together():
    reported = refused("cpuPods: A\ncpuPods: B\nprofiles: [{name: a}, {name: a}]\nfoo: &x 1")

    for expected in ("stands twice", "expected Score or Ignore", "'a' is used twice", "anchor"):
        assert expected in reported


def test_at_most_fifty_problems_are_reported():
    reported = refused("\n".join(f"unknown{number}: 1" for number in range(1000)))

    assert reported.count("unknown field") == 50
    assert reported.endswith("and more")


def test_a_config_map_within_a_config_map_is_no_policy():
    inner = "kind: ConfigMap\\ndata: {}"

    assert "kind: expected PlacementPolicy" in refused(
        f'kind: ConfigMap\ndata: {{policy.yaml: "{inner}"}}'
    )


def test_words_and_numbers_are_those_of_json():
    document, problems = policy_text.read(
        "{a: yes, b: on, c: true, d: 010, e: 1_0, f: -1.5e3, g: ~, h: '1', 1.30: x, null: y}",
        source="S",
    )

    assert problems == []
    assert document == {
        "a": "yes", "b": "on", "c": True, "d": 10.0, "e": "1_0", "f": -1500.0, "g": None,
        "h": "1", "1.30": "x", "null": "y",
    }  # fmt: skip


HOSTILE = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="[]{}:,-?&*!|>'\"#% \n\tab1.", max_size=400),
    st.tuples(st.sampled_from("[{-?!&*'\"|>%#\n:,"), st.integers(0, 200_000)).map(
        lambda drawn: drawn[0] * drawn[1]
    ),
)


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_whatever_stands_there_it_is_read_or_refused_within_bounds(text):
    item = objects.ConfigMap(data={"policy.yaml": text})
    began = time.thread_time()

    found = outcome(item)

    assert isinstance(found, config.Policy) or 0 < len(found) < 20_000
    assert time.thread_time() - began < 2.0  # not a measurement: what hangs takes minutes


def outcome(item):
    """The policy, or why there is none; anything else raised is a fault of ours."""
    try:
        return policy_text.of_config_map(item, source="S")
    except errors.ConfigError as refusal:
        return str(refusal)


HELD = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: pol}
data:
  policy.yaml: '{cpuPods: Ignore}'
"""


def listed(*manifests, kind="List"):
    items = "".join("- " + text.replace("\n", "\n  ").rstrip() + "\n" for text in manifests)
    return f"apiVersion: v1\nkind: {kind}\nitems:\n{items}"


@pytest.mark.parametrize("kind", ["List", "ConfigMapList"])
def test_a_list_of_one_config_map_is_read_through(kind):
    assert policy_text.parse_file(listed(HELD, kind=kind), source="x").cpu_pods == "Ignore"


@pytest.mark.parametrize("manifests", [(), (HELD, HELD)])
def test_a_list_of_none_or_several_is_refused_in_words(manifests):
    text = listed(*manifests) if manifests else "kind: List\nitems: []\n"
    with pytest.raises(errors.ConfigError) as caught:
        policy_text.parse_file(text, source="x")
    assert "a policy is in one ConfigMap" in str(caught.value.problems)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8", "utf-8-sig"])
def test_a_policy_is_read_in_the_encodings_that_editors_write(tmp_path, encoding):
    path = tmp_path / "policy.yaml"
    marked = encoding in {"utf-16-le", "utf-16-be"}
    path.write_bytes(("\ufeff" * marked + HELD).encode(encoding))
    assert assembly.read_policy(path).cpu_pods == "Ignore"
