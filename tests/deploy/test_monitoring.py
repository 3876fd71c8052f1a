"""Rules, runbooks and dashboard: of metrics that there are, and each with an answer."""

import re

import pytest
import yaml

from extender.server import metrics
from tests.kit.deploy import dashboard, prometheus, tools

RULES = yaml.safe_load((prometheus.MONITORING / "prometheusrule.yaml").read_text())["spec"][
    "groups"
]
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"] if "alert" in rule}
RECORDS = {rule["record"]: rule for group in RULES for rule in group["rules"] if "record" in rule}
RUNBOOKS = (tools.ROOT / "docs" / "runbooks.md").read_text()
WORD = re.compile(r"\b(railyard[:_][a-z0-9_:]+|process_[a-z_]+)")


def exposed():
    """The names of all series that the service shows, without asking a cluster."""
    kinds = {"Pod": metrics.KindFigures(synced=True, objects=1, age_seconds=0.0)}
    shown = metrics.Metrics(lambda: metrics.ClusterFigures(kinds=kinds)).exposition().decode()
    typed = re.findall(r"^# TYPE (\S+) (\S+)$", shown, re.MULTILINE)
    return {
        f"{name}{end}"
        for name, kind in typed
        for end in (("", "_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }


def written():
    for name, rule in (ALERTS | RECORDS).items():
        yield name, rule["expr"]
    yield from dashboard.QUERIES.items()


@pytest.mark.parametrize(("where", "expression"), list(written()))
def test_an_expression_names_metrics_that_there_are(where, expression):
    assert set(WORD.findall(expression)) - exposed() - RECORDS.keys() == set()


def test_a_metric_that_a_runbook_names_is_there():
    assert set(WORD.findall(RUNBOOKS)) - exposed() - RECORDS.keys() == set()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE) == list(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_alert_and_record_has_a_case_and_every_alert_a_quiet_one():
    cases = yaml.safe_load((tools.ROOT / "tests/deploy/rules/alerts.yaml").read_text())["tests"]
    heard = {True: set(), False: set()}
    for case in cases:
        for each in case.get("alert_rule_test", ()):
            heard[bool(each["exp_alerts"])].add(each["alertname"])
    recorded = {each["expr"] for case in cases for each in case.get("promql_expr_test", ())}

    assert heard == {True: ALERTS.keys(), False: ALERTS.keys()}
    assert recorded == RECORDS.keys()


def test_panels_stand_side_by_side():
    taken = set()
    for panel in dashboard.DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard.DASHBOARD["panels"]}) == len(
        dashboard.DASHBOARD["panels"]
    )
