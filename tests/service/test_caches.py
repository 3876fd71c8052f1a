"""All that is remembered has a bound, shown in the metrics and listed in the documentation."""

import importlib
import pathlib
import pkgutil
import re

import extender
from extender import bounded_cache
from extender.decisions import engine_snapshot
from extender.policy import config
from extender.service import assembly

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "design" / "caches.md"
_ROW = re.compile(r"^\| `([a-z-]+)` \| (\d+)[^|]*\| (\w+) \|", re.MULTILINE)


def an_engine(**more):
    return assembly.assemble(
        policy=config.DEFAULT,
        features=assembly.features_for(""),
        hardware=assembly.read_catalogue(),
        **more,
    )


def test_every_cache_is_in_the_table_with_its_bound():
    for module in pkgutil.walk_packages(extender.__path__, "extender."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    caches = engine_snapshot.of(an_engine()).caches
    reported = {name: (int(bound), unit) for name, bound, unit in _ROW.findall(_PAGE.read_text())}
    assert reported == {each.name: (each.bound, each.unit) for each in caches}
    assert len(caches) == len(reported), "two caches have one name"


def test_bytes_of_all_caches_together_leave_room_for_the_objects():
    caches = engine_snapshot.of(an_engine()).caches
    total = sum(each.bound for each in caches if each.unit == bounded_cache.BYTES)
    assert total <= 120 * bounded_cache.MIB
