"""The load test itself: every scenario's kind of traffic, for seconds, against a small cluster."""

import csv
import http.server
import json
import pathlib
import subprocess
import sys
import threading

import pytest

from loadtests.traffic import run
from tests.kit.controlplane import process

pytestmark = pytest.mark.locust

ROOT = pathlib.Path(__file__).resolve().parents[3]
SECONDS = 4


def table(folder, name):
    with (folder / f"{name}.csv").open() as lines:
        return {row["verb"]: row for row in csv.DictReader(lines)}


@pytest.mark.parametrize(
    ("fields", "verbs"),
    [
        (
            "preemptShare: 0.2\nmutualTls: true\nschedulers: 2",
            {"filter", "prioritize", "preempt", "echo filter", "echo prioritize"},
        ),
        ("wholeNodes: true\nasked: 20", {"filter", "prioritize", "echo filter"}),
        (
            "relistEverySeconds: 1\npolicyEverySeconds: 1\ngang: {pods: 16, pauseSeconds: 0.5}",
            {"filter", "prioritize"},
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_scenario_runs_without_a_failure_and_leaves_its_table(tmp_path, capsys, fields, verbs):
    text = f"about: a test.\npodsPerSecond: 40\neventsPerSecond: 200\nechoEvery: 2\n{fields}\n"
    (tmp_path / "mine.yaml").write_text(text)
    words = ["--scenario", str(tmp_path / "mine.yaml"), "--seconds", str(SECONDS)]

    status = run.main([*words, "--nodes", "40", "--verify", "--out", str(tmp_path)])

    printed = capsys.readouterr().out
    assert status == 0, printed
    rows = table(tmp_path, "mine")
    assert verbs <= set(rows)
    for row in rows.values():
        assert int(row["requests"]) > 0
        assert int(row["failures"]) == 0
        assert 0 < float(row["p50"]) <= float(row["p99"])
    assert "filter p50: " in printed
    assert "<html" in (tmp_path / "mine.html").read_text().lower()


class Liar(http.server.BaseHTTPRequestHandler):
    """An extender that loses a node in filter's reply."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = {"NodeNames": body["NodeNames"][1:], "FailedNodes": {}, "Error": ""}
        if self.path == "/prioritize":
            reply = [{"Host": name, "Score": 1} for name in body["NodeNames"]]
        text = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def liar():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def locust(*words):
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless"]
    command += ["--run-time", "2s", "--users", "1", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_wrong_reply_is_a_failure_that_locust_counts(tmp_path, liar):
    (tmp_path / "nodes").write_text("n1\nn2\nn3\n")
    words = ("--nodes", str(tmp_path / "nodes"), "--summary", str(tmp_path / "rows.json"))

    done = locust("--host", liar, *words)

    assert done.returncode == 1
    assert "1 nodes are missing from the reply (such as " in done.stdout + done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["verb"], row["failures"] == row["requests"]) for row in rows] == [("filter", True)]


@pytest.fixture
def echo(tmp_path):
    port = process.free_port()
    command = [sys.executable, "-m", "tests.kit.controlplane.extenders.echo", "--port", str(port)]
    log = tmp_path / "log"
    started = process.Process("echo", command, log, folder=ROOT, ends_by_itself=False)
    started.start()
    started.wait_until_answers("/readyz", port=port)
    yield f"http://127.0.0.1:{port}"
    started.stop()


def test_workers_send_with_what_they_were_given_and_the_master_tells_of_it(tmp_path, echo):
    (tmp_path / "nodes").write_text("n1\nn2\nn3\n")
    port = str(process.free_port())
    worker = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--worker"]
    worker += ["--master-port", port, "--nodes", str(tmp_path / "nodes"), "--echo", echo]

    with subprocess.Popen(worker, cwd=ROOT, stderr=subprocess.DEVNULL) as started:
        words = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
        wanted = ("--expect-workers", "1", "--summary", str(tmp_path / "rows.json"))
        done = locust("--host", echo, *words, *wanted)
        started.wait(20)

    assert done.returncode == 0, done.stderr
    rows = {row["verb"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert set(rows) == {"filter", "prioritize", "echo filter", "echo prioritize"}
    assert all(row["requests"] and not row["failures"] for row in rows.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scenario", "stedy"), "load test: there is no scenario 'stedy'"),
        ((), "load test: which nodes? --nodes takes"),
        (("--nodes", "/gone"), "load test: /gone cannot be read"),
        (("--nodes", "/gone", "--ca", "/ca"), "load test: certificates cannot be used: "),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(words, message):
    done = locust("--host", "http://127.0.0.1:9", *words)

    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_scenario_ends_make_load_with_status_2(capsys):
    assert run.main(["--scenario", "stedy"]) == 2
    assert "there is no scenario 'stedy'; there are " in capsys.readouterr().err
