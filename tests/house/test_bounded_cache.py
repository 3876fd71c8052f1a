"""A cache with a name and a bound."""

import ast
import pathlib

import hypothesis
from hypothesis import strategies

from extender import bounded_cache

_DECORATORS = {"functools.cache", "functools.lru_cache"}
_SOURCE = pathlib.Path(bounded_cache.__file__).parent


def cache(bound=100):
    return bounded_cache.BoundedCache("of-a-test", bound)


def test_the_oldest_makes_room():
    memory = cache()
    memory.put("a", 1, 60)
    memory.put("b", 2, 40)
    memory.put("c", 3, 10)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (None, 2, 3)


def test_what_was_used_last_goes_last():
    memory = bounded_cache.BoundedCache("of-a-test", 2, bounded_cache.ENTRIES)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.use("a") == 1
    memory.put("c", 3)
    assert list(memory) == ["a", "c"]


def test_what_is_larger_than_the_bound_is_not_kept_and_drives_nothing_out():
    memory = cache()
    memory.put("a", 1, 60)
    memory.put("b", 2, 101)
    assert (memory.get("a"), memory.get("b")) == (1, None)


@hypothesis.given(
    strategies.lists(
        strategies.tuples(
            strategies.sampled_from("abcdef"), strategies.integers(0, 60), strategies.booleans()
        )
    )
)
def test_it_uses_what_is_kept_and_never_more_than_its_bound(steps):
    memory, sizes = cache(), {}
    for key, size, forget in steps:
        if forget:
            memory.pop(key)
        else:
            memory.put(key, size, size)
        sizes = {each: memory.get(each) for each in "abcdef" if memory.get(each) is not None}
        assert memory.figures == bounded_cache.Figures("of-a-test", memory.used, 100, "bytes")
        assert memory.used == sum(sizes.values()) <= 100
        assert len(memory) == len(sizes)


def test_functions_tell_how_many_answers_they_remember():
    @bounded_cache.remembered("squares-of-a-test", 2)
    def square(number):
        return number * number

    assert [square(number) for number in (1, 2, 3)] == [1, 4, 9]
    reported = {each.name: each for each in bounded_cache.of_functions()}
    assert reported["squares-of-a-test"] == bounded_cache.Figures(
        "squares-of-a-test", 2, 2, "entries"
    )
    bounded_cache._FUNCTIONS.pop("squares-of-a-test")


def test_no_function_remembers_without_a_name():
    """`functools.cache` and `lru_cache` are used in one place; what is exempt has few answers."""
    exempt = {
        "bounded_cache.py",
        "service/assembly.py",  # the one catalogue
        "page/rendering.py",  # the one set of templates
        "server/http/plain_calls.py",  # the heads of kube-scheduler's calls
    }
    remembering = {
        path.relative_to(_SOURCE).as_posix()
        for path in _SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in _DECORATORS
    }
    assert remembering <= exempt
