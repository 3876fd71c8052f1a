"""Hostile selectors: long, deep, explosive or damaged texts that must stay cheap and never crash.

    python -m tests.kit.selectors.hostile_selectors [--count 100000] [--seed S]

Judges that many generated texts in a process whose memory is limited, and prints the slowest and
the growth of memory. Exit code 1 where a text takes more than 50 ms of CPU, memory grows by more
than 64 MB, or anything but the two errors of `Selectors` comes out.
"""

from __future__ import annotations

import argparse
import collections
import heapq
import pathlib
import random
import resource
import secrets
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))  # run as a script, the tests' shared modules are not on the path

from extender import errors  # noqa: E402 - after the path is set
from extender.demand import selectors  # noqa: E402 - the same
from tests.kit.selectors import selector_cases, selector_values, selector_writer  # noqa: E402 - the same

MOST_MILLISECONDS = 50
MOST_MEGABYTES = 64
# Address space is more than what is used: pages that are only reserved count.
ADDRESS_SPACE = 1 << 30

_ATOMS = (
    "1", "'a'", "true", "[]", "{}", "device", "device.driver", "device.attributes", "x", "1u",
    "1.5", "b'a'", "null", "optional.none()", "quantity('1')", "semver('1.2.3')", "[1,2,3]",
    "{'a':1}", "duration('1s')", "'" + "a" * 500 + "'", "lists.range(100)", "lists.range(99999999)",
)  # fmt: skip
# A way to start, and ways to make more of {0}: {1} is a text of "a"s, {2} a number.
_STRINGS = ("'" + "a" * 200 + "'", "device.driver", "'a'"), (
    "({0}+{0})", "{0}.replace('a','{1}')", "{0}.replace('','{1}')", "{0}.split('').join('{1}')",
    "'%s%s'.format([{0},{0}])", "{0}.split('a').map(x,{0}).join()", "strings.quote({0})",
    "string(bytes({0}))", "{0}.find('({1}*)*')", "{0}.findAll('').join({0})", "{0}.upperAscii()",
    "'%.{2}f'.format([1.0])", "'%.{2}e'.format([1.0])", "{0}.substring(1)", "{0}.replace({0},{0})",
    "({0}.matches('((x{{1,{2}}}){{1,{2}}})*') ? {0} : {0})", "lists.range(99).map(x,{0}).join()",
    "({0}.matches('(a*)*b') ? 'a' : {0})", "[{0},{0}].distinct().join({0})",
    "'{1}'.replace('a',{0})",
)  # fmt: skip
_LISTS = ("[1,2,3]", "lists.range(1000)", "[0]"), (
    "({0}+{0})", "{0}.map(x,{0}.map(y,1).sum())", "lists.range(1000).map(x,{0}.size())",
    "{0}.distinct()", "{0}.sort()", "{0}.sortBy(k,-k)", "{0}.filter(x,{0}.exists(y,x==y))",
    "{0}.reverse()", "[{0},{0}].flatten()", "[[{0}],[{0}]].flatten({2}).map(x,1)", "{0}.slice(0,1)",
    "{0}.transformList(i,v,{0}[i])", "(sets.contains({0},{0}) ? {0} : [])",
    "lists.range({0}.size()*9)",
    "{0}.map(x,[{0},{0},{0}]).flatten()", "cel.bind(b,{0},b+b)", "({0}=={0} ? {0} : [])",
    "[?optional.of(1)]+{0}", "{0}.map(x,{0}.indexOf(x))", "lists.range({2}).map(x,x)",
)  # fmt: skip
_WRAPPERS = (
    ("(", ")"), ("[", "]"), ("!", ""), ("-", ""), ("{'a':", "}"), ("size(", ")"), ("dyn(", ")"),
    ("true?", ":1"), ("optional.of(", ")"), ("has(", ".a)"), ("[1].map(x,", ")"), ("", ".b"),
    ("", "['a']"), ("", ".?c"), ("", "+1"), ("", "&&true"), ("", "||x"), ("", ".trim()"),
    ("cel.bind(a,", ",a)"), ("[1,2].all(x,", ")"), ("", ".orValue(1)"), ("string(", ")"),
)  # fmt: skip
_NOISE = "()[]{}.,?:'\"\\!-+*/%<>=&|abx01 \t\n\x00é\u2028😀"


def text(rng: random.Random) -> str:
    """A hostile text."""
    made = rng.choice((_bound, _grown, _wrapped, _repeated, _noisy, _deep, _random))(rng)
    return made[: rng.choice((10240, 10240, 10240, 20000, 300))]


def _more(rng: random.Random, ways: tuple[str, ...], inner: str) -> str:
    number = rng.choice((2, 9, 99, 999, 99999, 2**63 - 1))
    return rng.choice(ways).format(inner, "a" * rng.choice((1, 10, 1000)), number)


def _bound(rng: random.Random) -> str:
    """Bindings of which each is a multiple of the one before."""
    starts, ways = rng.choice((_STRINGS, _LISTS))
    count = rng.randint(1, 30)
    links = [f"cel.bind(a0,{rng.choice(starts)},"]
    links += [f"cel.bind(a{i},{_more(rng, ways, f'a{i - 1}')}," for i in range(1, count)]
    return "".join(links) + f"a{count - 1}==a{count - 1}" + ")" * count


def _grown(rng: random.Random) -> str:
    """A value made of itself, over and over."""
    starts, ways = rng.choice((_STRINGS, _LISTS))
    made = rng.choice(starts)
    for _ in range(rng.randint(1, 6)):
        longer = _more(rng, ways, made)
        if len(longer) > 5000:
            break
        made = longer
    return f"{made} == {made}"


def _wrapped(rng: random.Random) -> str:
    pairs = [rng.choice(_WRAPPERS) for _ in range(rng.randint(1, 3))]
    times = rng.choice((5, 20, 60, 300, 3000))
    head = "".join(one for one, _ in pairs)
    tail = "".join(one for _, one in reversed(pairs))
    return head * times + rng.choice(_ATOMS) + tail * times


def _repeated(rng: random.Random) -> str:
    starts, ways = rng.choice((_STRINGS, _LISTS))
    piece = rng.choice((*_ATOMS, *(_more(rng, ways, rng.choice(starts)) for _ in range(9))))
    joint = rng.choice(("+", "&&", "||", ",", "==", " in ", ".", "?", ":", "-", "*", "!", " "))
    return joint.join([piece] * rng.choice((3, 50, 500, 5000)))


def _noisy(rng: random.Random) -> str:
    return "".join(rng.choice(_NOISE) for _ in range(rng.choice((10, 100, 1000, 10000))))


def _deep(rng: random.Random) -> str:
    """Loops within loops over everything there is."""
    sources = ("[1,2,3,4,5,6,7,8,9,10]", "lists.range(1000)", "device.attributes", "'a'.split('')")
    made = rng.choice(("true", "x0==x1", "'a'.matches('(a*)*b')", "x0+x0==x0"))
    for level in range(rng.randint(1, 9)):
        macro = rng.choice(("all", "exists", "map", "filter", "exists_one"))
        made = f"{rng.choice(sources)}.{macro}(x{level},{made})"
    return made


def _random(rng: random.Random) -> str:
    writer = selector_writer.Writer(rng, lists=rng.random() < 0.2)
    made = writer.expression()
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(made) + 1)
        made = made[:place] + rng.choice((*_NOISE, made[:200])) + made[place:]
    return made


def judged(engine: selectors.Selectors, expression: str, case: selector_cases.Json) -> str:
    """What comes out; anything unexpected raises."""
    try:
        return str(engine.matches(expression, selector_values.as_device(case)))
    except errors.SelectorError as problem:
        return "runtime error" if problem.compiled else "compile error"
    except errors.UnknownSelectorError:
        return "unknown"


def main() -> int:
    options = _options()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    rng = random.Random(options.seed)
    engine = selectors.Selectors()
    tally: collections.Counter[str] = collections.Counter()
    slowest: list[tuple[float, str]] = []
    before = 0
    for number in range(options.count):
        expression = text(rng)
        case = selector_cases.device(rng, lists=False)
        begin = time.process_time()
        tally[judged(engine, expression, case)] += 1
        spent = (time.process_time() - begin) * 1000
        if spent > MOST_MILLISECONDS / 2:
            # On a busy machine a clock tells more than the work: the least of some tries counts.
            spent = min(spent, *(_time(expression, case) for _ in range(5)))
        heapq.heappush(slowest, (spent, expression[:200]))
        if len(slowest) > 5:
            heapq.heappop(slowest)
        if number == 2000:  # the caches have warmed up
            before = _megabytes()
    grown = _megabytes() - before
    for spent, expression in sorted(slowest, reverse=True):
        print(f"{spent:.1f} ms: {expression!r}")
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))
    print(f"{options.count} texts, seed {options.seed}: {counts}; memory grew by {grown} MB")
    return 1 if (slowest and max(slowest)[0] > MOST_MILLISECONDS) or grown > MOST_MEGABYTES else 0


def _time(expression: str, case: selector_cases.Json) -> float:
    """Milliseconds to compile and judge, from nothing."""
    engine = selectors.Selectors()
    begin = time.process_time()
    judged(engine, expression, case)
    return (time.process_time() - begin) * 1000


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Judge hostile selectors.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
