from hypothesis import given
from hypothesis import strategies as st

from extender.decisions.ticket import Ticket
from extender.decisions.verb_results import FilterResult
from tests.kit.builders import make_pod

NAMES = st.lists(st.sampled_from("abcdef"))


def test_no_refusal_lets_everyone_pass():
    assert FilterResult().passing(["b", "a"]) == ["b", "a"]


def test_names_at_hand_are_given_as_they_are():
    kept = ["a"]
    ticket = Ticket(make_pod("p").obj(), kept)

    assert FilterResult(ticket=ticket).passing(["a", "b"]) is kept


@given(NAMES, st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("cde")))
def test_who_passes_is_who_was_asked_and_not_refused_in_the_order_asked(names, busy, never):
    found = FilterResult(dict.fromkeys(busy, "busy"), dict.fromkeys(never, "never")).passing(names)

    assert found == [name for name in names if name not in busy | never]
