"""The web page in Chromium, and what kube-scheduler's calls wait while three browsers are open.

The service runs over a synthetic cluster in a process of its own, and Chromium beside it. With
`--apart` the service and the caller have the first core and Chromium the second one, so that what
is measured of the calls is what the pages cost the service, and not what a browser takes of its
core. First paint is of a browser that has nothing of the page yet. An interaction is from the key
or the click to the next frame (the browser's event timing, in steps of 8 ms). Calls are timed with
no browser and with three, in turns. Needs Debian's Chromium and the tools of `make test-page`:

    python -m loadtests.performance.page [--nodes N] [--seconds S] [--rounds N] [--apart] [--json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import time

from playwright import sync_api

from loadtests.performance import admin_pressure
from loadtests.simulator import argument_checks, synthetic

GOALS = {"first_paint_ms": 1500, "interaction_ms": 100, "p99": 1.1}
PAGES = ("/", "/pods", "/decisions", "/history", "/policy")
_PATIENCE = 60.0  # seconds, of the browser with a page
_SETTLED = 2.0  # seconds that pages get before calls are timed beside them
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_WATCH = """
() => {
  window.longest = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) window.longest.push([each.name, each.duration]);
  }).observe({ type: "event", durationThreshold: 16, buffered: true });
}
"""


class Browser:
    """Chromium on one core, driven by this process."""

    def __init__(self, driver: sync_api.Playwright, base: str, core: int | None) -> None:
        before = os.sched_getaffinity(0)
        if core is not None:
            os.sched_setaffinity(0, {core})  # the browser's processes inherit it
        path = shutil.which("chromium")
        assert path, "no chromium: make test-page"
        self._chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        os.sched_setaffinity(0, before)
        self._base = base
        self._open: list[sync_api.BrowserContext] = []
        page = self.fresh()
        page.goto("/")
        self.pool = page.get_attribute("tbody th a", "href") or ""
        page.goto(self.pool)
        self.node = page.get_attribute('tbody a[href^="/nodes/"]', "href") or ""
        self.close()

    def fresh(self) -> sync_api.Page:
        """A page of a browser that knows nothing yet."""
        size: sync_api.ViewportSize = {"width": 1280, "height": 900}
        context = self._chromium.new_context(base_url=self._base, viewport=size)
        context.set_default_timeout(_PATIENCE * 1e3)
        self._open.append(context)
        return context.new_page()

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    def first_paint(self, path: str) -> float:
        """Milliseconds from asking for the page to its first content."""
        page = self.fresh()
        page.goto(path)
        until = time.monotonic() + _PATIENCE
        while (found := page.evaluate(_PAINT)) is None:  # the page forbids what Playwright waits by
            assert time.monotonic() < until, f"{path} is not painted"
            page.wait_for_timeout(20)
        self.close()
        return float(found)

    def interactions(self) -> dict[str, float]:
        """What is done → the longest that its next frame took, in ms."""
        found = {}
        page = self.fresh()
        page.goto("/")
        page.evaluate(_WATCH)
        found["sort the pools"] = longest(page, lambda: page.click("th button"))
        found["go to the search"] = longest(page, lambda: page.keyboard.press("/"))
        found["type in the search"] = longest(page, lambda: page.keyboard.type("gpu-h100"))
        page.goto(self.pool)
        page.evaluate(_WATCH)
        found["sort the nodes"] = longest(page, lambda: page.click("th button"))
        page.goto(self.node)
        page.evaluate(_WATCH)
        found["open a node's labels"] = longest(page, lambda: page.click("summary"))
        self.close()
        return found

    def three(self) -> None:
        """Open three browsers, each with a page that looks again every five seconds."""
        for path in ("/", "/pods", self.pool):
            self.fresh().goto(path)


def longest(page: sync_api.Page, act) -> float:
    """The longest event while this is done; 8 ms where none took longer than 16."""
    page.evaluate("window.longest = []")
    act()
    page.wait_for_timeout(300)
    found = page.evaluate("window.longest")
    return max((float(each) for _, each in found), default=8.0)


def figures(values: list[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(values) * 1e6, 1),
        "p99": round(admin_pressure.percentile(values, 0.99) * 1e6, 1),
    }


def beside(
    browser: Browser, caller: admin_pressure.Caller, given: argparse.Namespace
) -> dict[str, object]:
    """Calls with and without three browsers, in turns."""
    idle: list[float] = []
    loaded: list[float] = []
    ratios = []
    for number in range(given.rounds):
        before = caller.calls(given.seconds / 2)
        browser.three()
        time.sleep(_SETTLED)
        with_them = caller.calls(given.seconds)
        browser.close()
        time.sleep(0.5)
        after = caller.calls(given.seconds / 2)
        ratio = admin_pressure.percentile(with_them, 0.99) / admin_pressure.percentile(
            before + after, 0.99
        )
        ratios.append(round(ratio, 3))
        idle += before + after
        loaded += with_them
        print(f"round {number + 1}: p99 x{ratio:.2f}", file=sys.stderr, flush=True)
    return {
        "idle_us": figures(idle),
        "loaded_us": figures(loaded),
        "p50": round(statistics.median(loaded) / statistics.median(idle), 3),
        "p99": statistics.median(ratios),
        "p99_by_round": ratios,
        "calls": len(loaded),
    }


def measure(given: argparse.Namespace, verbs: int, admin: int) -> dict[str, object]:
    """First paint, interactions, and calls beside three browsers."""
    apart = given.apart and (os.cpu_count() or 1) > 1
    caller = admin_pressure.Caller(
        ("127.0.0.1", verbs), synthetic.names(given.nodes)[: admin_pressure.NAMES]
    )
    caller.calls(1.0)
    with sync_api.sync_playwright() as driver:
        browser = Browser(driver, f"http://127.0.0.1:{admin}", 1 if apart else None)
        paints = {
            path: [round(browser.first_paint(path)) for _ in range(given.paints)]
            for path in (*PAGES, browser.pool, browser.node)
        }
        acts = browser.interactions()
        if apart:
            os.sched_setaffinity(0, {0})  # the caller, from here on
        calls = beside(browser, caller, given)
    return {
        "first_paint_ms": {path: statistics.median(found) for path, found in paints.items()},
        "first_paint_worst_ms": max(max(found) for found in paints.values()),
        "interaction_ms": acts,
        "calls": calls,
    }


def serving(pipe, nodes: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    admin_pressure.serving(pipe, nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one leg, at most 30")
    parser.add_argument("--rounds", type=argument_checks.count, default=3)
    parser.add_argument("--paints", type=argument_checks.count, default=3, help="of each page")
    parser.add_argument("--apart", action="store_true", help="service and browsers on own cores")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.seconds = min(given.seconds, 30.0)
    pipe, theirs = multiprocessing.Pipe()
    core = 0 if given.apart and (os.cpu_count() or 1) > 1 else None
    process = multiprocessing.Process(target=serving, args=(theirs, given.nodes, core))
    process.start()
    try:
        assert pipe.poll(admin_pressure.LONGEST_SECONDS), "the service did not start"
        report = measure(given, *pipe.recv())
    finally:
        process.terminate()
        process.join(10.0)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    today = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    report |= {"nodes": given.nodes, "apart": given.apart, "machine": machine, "date": today}
    if given.json:
        print(json.dumps({"benchmark": "page", **report}))
        return
    print(f"{given.nodes} nodes, {machine}; goals {GOALS}")
    for name in ("first_paint_ms", "first_paint_worst_ms", "interaction_ms", "calls"):
        print(f"{name}: {report[name]}")


if __name__ == "__main__":
    main()
