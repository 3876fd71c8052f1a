"""Prometheus and promtool of Debian's package, which is unpacked into the cache and not installed.

python -m tests.kit.deploy.prometheus      fetches it, prints the folder of its programs
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from typing import Any

import yaml

from tests.kit.controlplane import process
from tests.kit.deploy import tools

MONITORING = tools.CHART / "monitoring"
PACKAGE = "prometheus"
# Scraped and evaluated so often that a rate has its two points within seconds.
INTERVAL = "500ms"


def folder() -> pathlib.Path:
    """Where the programs are, or will be once fetched."""
    if (installed := shutil.which("promtool")) and shutil.which("prometheus"):
        return pathlib.Path(installed).parent
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "railyard" / "prometheus" / "usr" / "bin"


def why_not() -> str | None:
    """Say why the tests that need the programs cannot run, or None when they are there."""
    return None if (folder() / "promtool").exists() else "no prometheus: make test-monitoring"


def fetch() -> pathlib.Path:
    """Return the folder of the programs, unpacking the package into the cache if it lacks them."""
    if why_not() is None:
        return folder()
    target = folder().parents[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=work, check=True)
        (package,) = pathlib.Path(work).glob("*.deb")
        unpacked = pathlib.Path(work) / "unpacked"
        subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
        unpacked.replace(target)
    return folder()


def rules(target: pathlib.Path) -> pathlib.Path:
    """Write the rules of the PrometheusRule as a file that Prometheus itself reads."""
    body = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))
    path = target / "rules.yaml"
    path.write_text(yaml.safe_dump(body["spec"]))
    return path


def promtool(*arguments: object, home: pathlib.Path, text: str | None = None) -> str:
    """Return all that promtool said; raise ToolError where it found something wrong."""
    done = subprocess.run(
        [str(folder() / "promtool"), *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    if done.returncode or done.stderr.strip():
        raise tools.ToolError(done.stderr + done.stdout)
    return done.stdout


@contextlib.contextmanager
def scraping(target: str, home: pathlib.Path) -> Iterator[int]:
    """Run Prometheus with our rules over one target, HOST:PORT; yield its port."""
    port = process.free_port()
    configuration = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [str(rules(home))],
        "scrape_configs": [{"job_name": "railyard", "static_configs": [{"targets": [target]}]}],
    }
    path = home / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration))
    command = [str(folder() / "prometheus"), f"--config.file={path}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={home / 'data'}"]
    server = process.Process(
        "prometheus", command, home / "prometheus.log", folder=home, ends_by_itself=False
    )
    server.start()
    try:
        server.wait_until_answers("/-/ready", port=port)
        yield port
    finally:
        server.stop()


def query(port: int, expression: str) -> Any:
    """Return the series that an expression gives now; raise ToolError where it is refused."""
    words = urllib.parse.urlencode({"query": expression})
    status, body = process.get(f"/api/v1/query?{words}", port=port)
    if status != 200:
        raise tools.ToolError(f"{expression}: {body}")
    return json.loads(body)["data"]["result"]


if __name__ == "__main__":
    if shutil.which("apt-get") is None and why_not():
        sys.exit("install promtool and prometheus: this is not Debian")
    print(fetch())
