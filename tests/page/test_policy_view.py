"""Policies on the page: written out, and two side by side."""

import hypothesis
import yaml
from hypothesis import strategies as st

from extender.page.views import policy_view
from extender.policy import config


def run(turns):
    """What the turns come to."""
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value


def policy(*, packing=1.0, maximum=10, names=("default",)):
    profiles = [
        {"name": name, "packing": {"weight": packing}, "match": {"namespaces": [name]}}
        for name in names
    ]
    return config.parse(
        {
            "apiVersion": config.API_VERSION,
            "kind": config.KIND,
            "profiles": profiles,
            "scores": {"maximum": maximum},
        },
        source="test",
    )


def test_a_policy_that_is_written_out_is_the_same_policy():
    made = policy(packing=0.5, names=("default", "other"))

    assert config.parse(yaml.safe_load(run(policy_view.written(made))), source="test") == made


def test_the_fields_that_differ_are_reported_by_their_path_and_both_values():
    found, more = run(policy_view.differing(policy(), policy(packing=0.25, maximum=20)))

    assert [(each.path, each.active, each.candidate) for each in found] == [
        ("profiles[default].packing.weight", "1.0", "0.25"),
        ("scores.maximum", "10", "20"),
    ]
    assert not more


def test_a_profile_that_one_of_them_lacks_is_reported_field_by_field():
    found, _ = run(policy_view.differing(policy(), policy(names=("default", "new"))))

    assert {each.active for each in found} == {"(not there)"}
    assert "profiles[new].packing.weight" in {each.path for each in found}


def test_of_many_fields_the_first_hundred_are_reported():
    other = policy(names=("default", *(f"p-{number}" for number in range(40))))

    found, more = run(policy_view.differing(policy(), other))

    assert (len(found), more) == (100, True)


@hypothesis.given(st.floats(0, 100), st.integers(1, 100))
@hypothesis.settings(max_examples=20, deadline=None)
def test_a_policy_differs_from_itself_in_nothing(packing, maximum):
    made = policy(packing=packing, maximum=maximum)

    assert run(policy_view.differing(made, made)) == ([], False)


def test_a_verdict_on_a_candidate_is_a_sentence_once_both_have_judged():
    figures = {"judged": 1046, "agreement": 0.97}
    alike = policy_view.verdict({**figures, "meanRegretActive": 0.004, "meanRegretCandidate": 0.0})
    costly = policy_view.verdict({**figures, "meanRegretActive": 0.4, "meanRegretCandidate": 0.0})

    assert policy_view.verdict({"judged": 0, "agreement": None}) == ""
    assert alike.startswith("Practically equal: the same node in 97 % of 1,046 decisions; ")
    assert "0.004 GPUs more" in alike
    assert costly.startswith("They differ: ")
