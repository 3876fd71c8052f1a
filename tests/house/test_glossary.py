"""Words that the glossary retires do not come back.

Identifiers hold none of them. A name may begin with one of the VERBS where it is called (`place(`),
as a function says what it does. In prose the words are looked for as they stand; ENGLISH lists the
phrases in which one is a plain English word and not a name for something of ours.
"""

import ast
import io
import pathlib
import re
import tokenize

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
DONE = ("extender", "docs", "config", "deploy", "tests", "loadtests")  # what is read
GLOSSARY_PAGE, CHANGELOG_PAGE = "glossary.md", "CHANGELOG.md"  # name what is retired
# (path, word) → why it is a proper use there
PROPER = {
    ("extender/hardware/catalogue/platforms.py", "near"): "a field of the catalogue's files",
}
# Fields of the admin port's JSON, which clients read: they are not renamed with the code.
FIELDS = frozenset({"near", "grounds"})
# Verbs in prose: kube-scheduler places a pod, the scorer looks ahead. As names they are retired.
VERBS = frozenset({"ask", "asks", "look", "looks", "place", "places"})
ENGLISH = re.compile(
    r"\b(?:ma(?:ke|kes|king|de) room|no room|found no room|told apart|takes? place|in place"
    r"|asks? for|look(?:s|ing|ed)? up)\b"
)
PACKAGE = frozenset({"room", "rooms"})  # in pages: a package of this project
# Tests and load tests ask, look and place themselves, and measure how near devices are: there these
# words are plain English too often for a list of phrases. All others are looked for in them, too.
IN_TESTS = VERBS | PACKAGE | {"asker", "near", "nearness"}
# Identifiers that hold a retired word and are another room's or the policy's.
NAMES_OF_OTHERS = frozenset({"distance_weight", "asks_one_kind", "gpus_asked", "ask_whole"})


def retired():
    table = GLOSSARY.split("## Retired")[1]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]
    words = {word.strip() for cell in cells for word in re.sub(r"\(.*?\)", "", cell).split(",")}
    return frozenset(word for word in words if word.isalpha())


TEXTS = [
    path
    for path in [
        *sorted(ROOT.glob("*.md")),
        *(path for folder in DONE for path in sorted((ROOT / folder).rglob("*"))),
    ]
    if path.suffix in {".py", ".md"}
    and path.name not in {GLOSSARY_PAGE, CHANGELOG_PAGE, pathlib.Path(__file__).name}
    and "golden" not in path.parts  # texts of others
]


def prose(text):
    """The words of a comment, docstring or message that are not plain English where they stand."""
    return set(re.findall(r"[a-z]+", ENGLISH.sub(" ", text.lower()))) - VERBS


def parts(name):
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().strip("_").split("_")


def called(tree):
    """The names that are functions: called or defined. Each with how often it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", ""))


def identifiers(text):
    """Each part of each name, also inside f-strings; the verb that begins a function's is left."""
    tree = ast.parse(text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    for node in ast.walk(tree):
        names |= {getattr(node, field, None) or "" for field in ("id", "attr", "arg", "name")}
    for name in names - NAMES_OF_OTHERS - FIELDS:
        words = parts(name)
        if words[0] in VERBS and name in set(called(tree)):
            words = words[1:]
        yield from words


def words_of(path):
    """Each word of the identifiers, comments and strings, in lower case."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return prose(text) - PACKAGE
    found = set(identifiers(text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} and token.string[1:-1] not in FIELDS:
            # What an f-string computes is among the identifiers.
            found |= prose(re.sub(r"\{[^{}]*\}", "", token.string))
    return found


def test_the_glossary_retires_some_words_and_uses_none_of_them():
    explained = set(re.findall(r"[a-z]+", GLOSSARY.split("## Retired")[0].lower()))

    assert {"cliff", "boards", "fed"} <= retired()
    assert not retired() & (explained - VERBS - PACKAGE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("place = 1", {"place"}, id="an index is no place"),
        pytest.param("def place(pod): ...", set(), id="a function may place a pod"),
        pytest.param("def ask(place): ...", {"place"}, id="its argument may not"),
        pytest.param("f'{told} nodes'", {"told"}, id="a name in a format"),
        pytest.param("self.room.left()", {"room"}, id="an attribute"),
        pytest.param("made.near", set(), id="a field that clients read"),
    ],
)
def test_a_retired_word_is_told_from_a_verb(text, expected):
    assert set(identifiers(text)) & retired() == expected


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_that_is_done_uses_no_retired_word(path):
    name = path.relative_to(ROOT).as_posix()
    proper = {word for file, word in PROPER if file == name}
    proper |= IN_TESTS if name.startswith(("tests/", "loadtests/")) else set()

    assert sorted(words_of(path) & retired() - proper) == []
