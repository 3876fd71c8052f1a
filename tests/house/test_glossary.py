"""Words that the glossary retires do not come back, in the rooms where they are gone."""

import io
import pathlib
import re
import tokenize

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
# Rooms and pages that are done; the list only grows.
DONE = (
    "extender/pricing",
    "extender/policy",
    "extender/verdicts",
    "extender/hardware",
    "extender/kube",
    "docs/design",
)
# (path, word) → why it is a proper use there
PROPER = {
    ("extender/hardware/catalogue/machine_types.py", "near"): "a field of the catalogue's files",
    ("extender/pricing/mix/observer.py", "ask"): "a method of verdicts.resolver",
    ("extender/verdicts/reasons.py", "room"): '"no room for a 1g.10gb" is plain English',
}
# Verbs in prose: kube-scheduler places a pod, the scorer looks ahead. As names they are retired.
VERBS = frozenset({"ask", "asks", "look", "looks", "place", "places"})
PACKAGE = frozenset({"room", "rooms"})  # in pages: a package of this project
# Identifiers that hold a retired word and are another room's or the policy's.
NAMES_OF_OTHERS = frozenset({"distance_weight", "asks_one_kind", "gpus_asked", "ask_whole"})


def retired():
    table = GLOSSARY.split("## Retired")[1]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]
    words = {word.strip() for cell in cells for word in re.sub(r"\(.*?\)", "", cell).split(",")}
    return frozenset(word for word in words if word.isalpha())


TEXTS = [
    path
    for folder in DONE
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md"}
]


def words_of(path):
    """Each word of the identifiers, comments and strings, in lower case."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"[a-z]+", text.lower())) - VERBS - PACKAGE
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string not in NAMES_OF_OTHERS:
            parts = re.sub(r"([a-z])([A-Z])", r"\1_\2", token.string)
            found |= set(parts.lower().split("_"))
        elif token.type in {tokenize.COMMENT, tokenize.STRING}:
            found |= set(re.findall(r"[a-z]+", token.string.lower())) - VERBS
    return found


def test_the_glossary_retires_some_words_and_uses_none_of_them():
    explained = set(re.findall(r"[a-z]+", GLOSSARY.split("## Retired")[0].lower()))

    assert {"cliff", "boards", "fed"} <= retired()
    assert not retired() & (explained - VERBS - PACKAGE)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_that_is_done_uses_no_retired_word(path):
    name = path.relative_to(ROOT).as_posix()
    proper = {word for file, word in PROPER if file == name}

    assert sorted(words_of(path) & retired() - proper) == []
