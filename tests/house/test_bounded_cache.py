"""A memory bounded in bytes."""

import hypothesis
from hypothesis import strategies

from extender import bounded_cache


def test_the_oldest_makes_room():
    memory = bounded_cache.BoundedCache(100)
    memory.put("a", 1, 60)
    memory.put("b", 2, 40)
    memory.put("c", 3, 10)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (None, 2, 3)


def test_what_is_larger_than_the_bound_is_not_kept_and_drives_nothing_out():
    memory = bounded_cache.BoundedCache(100)
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
def test_bytes_are_those_of_what_is_kept_and_never_beyond_the_bound(steps):
    memory, sizes = bounded_cache.BoundedCache(100), {}
    for key, size, forget in steps:
        if forget:
            memory.pop(key)
        else:
            memory.put(key, size, size)
        sizes = {each: memory.get(each) for each in "abcdef" if memory.get(each) is not None}
        assert memory.bytes == sum(sizes.values()) <= 100
        assert len(memory) == len(sizes)
