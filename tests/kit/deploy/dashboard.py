"""The dashboard that is installed, and what its panels ask Prometheus."""

from __future__ import annotations

import json

from tests.kit.deploy import prometheus

DASHBOARD = json.loads((prometheus.MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {  # panel and query → query
    f"{panel['title']}: {target['expr']}": target["expr"]
    for panel in PANELS
    for target in panel["targets"]
}
