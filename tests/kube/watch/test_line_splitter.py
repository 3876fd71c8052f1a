import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender import errors
from extender.kube.watch import line_splitter


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_are_the_same_however_they_are_cut(expected, data):
    stream = b"".join(line + b"\n" for line in expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    split = line_splitter.LineSplitter()
    edges = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    found = [line for start, end in edges for line in split.feed(stream[start:end])]
    assert found == expected


def test_a_line_without_its_end_is_kept_back():
    split = line_splitter.LineSplitter()
    assert list(split.feed(b"one\ntw")) == [b"one"]
    assert list(split.feed(b"o\n")) == [b"two"]


def test_long_lines_one_after_the_other_are_no_damage():
    split = line_splitter.LineSplitter()
    for _ in range(3):
        assert list(split.feed(b"x" * (20 << 20))) == []
        (line,) = split.feed(b"\n")
        assert len(line) == 20 << 20


def test_a_line_beyond_bounds_is_damage():
    split = line_splitter.LineSplitter()
    chunk = b"x" * (8 << 20)
    for _ in range(4):
        assert list(split.feed(chunk)) == []
    with pytest.raises(errors.MalformedError):
        list(split.feed(chunk))
