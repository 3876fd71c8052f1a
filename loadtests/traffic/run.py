"""A load test from nothing: a cluster, Railyard over it, locust in front; a table, and a verdict.

    python -m loadtests.traffic.run [--scenario steady] [--seconds 60] [--nodes N] [--ui]

Everything runs on this machine and listens on loopback: a generated cluster behind a fake API
server, `railyard serve`, an extender that only echoes, and locust, which calls both. The exit
status is 1 where a call failed or Railyard lost step with the cluster, 2 for a scenario that cannot
be run, and with --strict 1 where a call took longer than is typical.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import msgspec

from loadtests.performance import coldstart
from loadtests.simulator import argument_checks
from loadtests.traffic import cluster_process, results, scenarios
from tests.kit.controlplane import certificates, process, railyard

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "loadtests" / "out" / "load"
LONGEST_SECONDS = 3600  # of one run, the page included
_ECHO = "tests.kit.controlplane.extenders.echo"
_PATIENCE_SECONDS = 180.0  # until 5,000 nodes are generated, read and judged
_IDLE_SHARE = 0.05  # of a core
_LATE_SECONDS = 10.0  # until the last events of a run are seen
_UI_PORT = 8089
# Of /metrics, what must not happen, whatever the load.
_FAULTS = (
    "railyard_fail_open_total",
    "railyard_sink_failures_total",
    "railyard_decode_failures_total",
    "railyard_task_restarts_total",
    "railyard_unknown_nodes_total",
    "railyard_policy_refused_since_seconds",
)


@dataclasses.dataclass
class Setup:
    """What runs, and where."""

    cluster: subprocess.Popen[str]
    cluster_url: str
    service: process.Process
    verbs: str
    admin_port: int
    echo: str
    pair: certificates.KeyPair | None  # kube-scheduler's, under mutual TLS


@contextlib.contextmanager
def running(scenario: scenarios.Scenario, given, folder: pathlib.Path) -> Iterator[Setup]:
    """Start cluster, echo and Railyard; ready on entry, stopped on exit."""
    with contextlib.ExitStack() as stack:
        cluster = start_cluster(given)
        stack.enter_context(cluster)
        stack.callback(end_cluster, cluster)
        port = reported_by(cluster)["port"]
        ports = [process.free_port() for _ in range(3)]
        verbs, admin, echo = ports
        url = f"http://127.0.0.1:{port}"
        pairs = key_pairs(folder) if scenario.mutual_tls else None
        kubeconfig = coldstart.kubeconfig(url, folder)
        echo_command = [sys.executable, "-m", _ECHO, "--port", str(echo)]
        service = _service(scenario, kubeconfig, verbs=verbs, admin=admin)
        if pairs:
            echo_command += _echo_certificates(pairs[0])
            service += _service_certificates(pairs[0])
        for name, command in (("echo", echo_command), ("railyard", service)):
            started = process.Process(
                name, command, folder / f"{name}.log", folder=ROOT, ends_by_itself=False
            )
            stack.callback(started.stop)
            started.start()
        started.wait_until_answers("/readyz", port=admin, patience=_PATIENCE_SECONDS)
        scheme = "https" if pairs else "http"
        yield Setup(
            cluster,
            url,
            started,
            f"{scheme}://127.0.0.1:{verbs}",
            admin,
            f"{scheme}://127.0.0.1:{echo}" if scenario.echo_every else "",
            pairs[1] if pairs else None,
        )


def _service(scenario, kubeconfig, *, verbs, admin) -> list[str]:
    """The command line of Railyard with these ports."""
    service = [
        *(sys.executable, "-m", "extender", "serve", "--log-level", "warning"),
        *("--kubeconfig", str(kubeconfig)),
        *("--bind", f"127.0.0.1:{verbs}", "--admin-bind", f"127.0.0.1:{admin}"),
        *("--announce-seconds", "0"),
    ]
    if scenario.policy_every_seconds:
        name = f"{cluster_process.NAMESPACE}/{cluster_process.CONFIG_MAP}"
        service += ["--policy-config-map", name]
    return service


def _echo_certificates(pair) -> list[str]:
    files = ("--certificate", str(pair.certificate), "--key", str(pair.key))
    return ["--authority", str(pair.authority), *files]


def _service_certificates(pair) -> list[str]:
    files = ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]
    names = ["--client-names", certificates.SCHEDULER_NAME]
    return [*files, "--client-ca", str(pair.authority), *names]


def start_cluster(given) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "loadtests.traffic.cluster_process"]
    command += ["--scenario", given.scenario, "--nodes", str(given.nodes)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def reported_by(cluster: subprocess.Popen[str]) -> dict:
    assert cluster.stdout is not None
    line = cluster.stdout.readline()
    if not line:
        raise process.ProcessError("the cluster's process has ended")
    return json.loads(line)


def end_cluster(cluster: subprocess.Popen[str]) -> None:
    """Close its input, which ends it; or kill it."""
    assert cluster.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        cluster.stdin.close()
    try:
        cluster.wait(30)
    except subprocess.TimeoutExpired:
        cluster.kill()


def key_pairs(folder: pathlib.Path) -> tuple[certificates.KeyPair, certificates.KeyPair]:
    authority = certificates.Authority(folder / "pki")
    return (
        authority.issue("127.0.0.1", name="extender"),
        authority.issue("kube-scheduler.test", name=certificates.SCHEDULER_NAME),
    )


def locust_command(scenario: scenarios.Scenario, given, setup: Setup) -> list[str]:
    """Locust's command line; its files are named after the scenario."""
    stem = given.out / given.name
    pods = f"{setup.cluster_url}/api/v1/pods"
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtests/locustfile.py")),
        *("--scenario", given.scenario, "--host", setup.verbs),
        *("--users", str(scenario.schedulers), "--spawn-rate", str(scenario.schedulers)),
        *("--run-time", f"{given.seconds}s", "--stop-timeout", "5", "--loglevel", "WARNING"),
        *("--nodes", f"{setup.cluster_url}/api/v1/nodes", "--bound-pods", pods),
        *("--echo", setup.echo, "--csv", str(stem), "--html", f"{stem}.html"),
        *("--summary", f"{stem}.json"),
    ]
    if setup.pair:
        command += ["--ca", str(setup.pair.authority)]
        command += ["--client-certificate", str(setup.pair.certificate)]
        command += ["--client-key", str(setup.pair.key)]
    if given.ui:
        return [*command, "--web-host", "127.0.0.1", "--web-port", str(_UI_PORT)]
    # The exit status is ours to say: locust's own would hide the table's second half.
    return [*command, "--headless", "--skip-log-setup", "--exit-code-on-error", "0"]


def run_locust(command: list[str], given) -> None:
    """Raise ProcessError where it does not end well, or in time.

    What locust prints when it ends is left out: its times are rounded to milliseconds.
    """
    quiet = None if given.ui else subprocess.DEVNULL
    patience = LONGEST_SECONDS if given.ui else given.seconds + 60
    try:
        subprocess.run(command, cwd=ROOT, timeout=patience, check=True, stdout=quiet)
    except subprocess.CalledProcessError as error:
        raise process.ProcessError(f"locust ended with status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        if not given.ui:
            raise process.ProcessError(f"locust went on for more than {patience} s") from None


def faults(setup: Setup, reported: dict, *, verify: bool) -> list[str]:
    """Sentences about what went wrong inside: calls let through, events not taken in."""
    found = []
    for name in _FAULTS:
        value = railyard.metric_of(setup.admin_port, name)
        if value:
            found.append(f"{name} is {value:g}")
    until = time.monotonic() + _LATE_SECONDS
    while (seen := pods_seen(setup.admin_port)) != reported["pods"]:
        if time.monotonic() > until:
            found.append(f"Railyard knows {seen:g} pods, the API server has {reported['pods']}")
            break
        time.sleep(0.2)
    if verify:
        status, body = process.get("/v1/verify", port=setup.admin_port, patience=_PATIENCE_SECONDS)
        if status != 200 or json.loads(body)["problems"]:
            found.append(f"/v1/verify: {status} {body[:300]}")
    return found


def pods_seen(admin_port: int) -> float:
    return railyard.metric_of(admin_port, "railyard_objects", {"kind": "Pod"})


def rest(service: process.Process) -> None:
    """Wait until what a start leaves to do is done: the process is idle for a second.

    Room on 5,000 nodes is counted while nobody asks; what is measured is a service that runs.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    before = service.cpu_seconds()
    while time.monotonic() < until:
        time.sleep(1.0)
        now = service.cpu_seconds()
        if now - before < _IDLE_SHARE:
            return
        before = now


def ask_cluster(setup: Setup, line: str) -> None:
    assert setup.cluster.stdin is not None
    setup.cluster.stdin.write(f"{line}\n")
    setup.cluster.stdin.flush()


def load(scenario: scenarios.Scenario, given, folder: pathlib.Path) -> int:
    """Run the scenario and tell of it; the exit status."""
    progress(f"{given.name}: {scenario.about}")
    nodes = given.nodes or scenario.nodes
    progress(f"generating {nodes} nodes, starting Railyard over them")
    with running(scenario, given, folder) as setup:
        rest(setup.service)
        cpu = setup.service.cpu_seconds()
        ask_cluster(setup, f"go {given.seconds}")
        if given.ui:
            progress(f"locust's page: http://127.0.0.1:{_UI_PORT} (Ctrl-C ends it)")
        else:
            progress(f"sending for {given.seconds} s")
        with contextlib.suppress(KeyboardInterrupt):
            run_locust(locust_command(scenario, given, setup), given)
        used = setup.service.cpu_seconds() - cpu
        if given.ui:
            return 0
        ask_cluster(setup, "reported")
        reported = reported_by(setup.cluster)
        wrong = faults(setup, reported, verify=given.verify)
        memory = coldstart.memory_mb(setup.service.pid, "VmHWM")
    rows = msgspec.json.decode(
        (given.out / f"{given.name}.json").read_bytes(), type=list[results.Row]
    )
    print(results.table(rows))
    print(
        f"Railyard: {used:.1f} s of processor time, {memory:.0f} MB at the most;"
        f" from the cluster: {reported.get('events', 0)} events"
        f" ({reported.get('events', 0) / given.seconds:.0f}/s),"
        f" {reported.get('relists', 0)} relists,"
        f" {reported['policies'] - 1} changes of policy"
    )
    return verdict(given, rows, wrong)


def verdict(given, rows: list[results.Row], wrong: list[str]) -> int:
    """Print ratios and faults, write the CSV; the exit status."""
    stem = given.out / given.name
    pathlib.Path(f"{stem}.csv").write_text(results.as_csv(rows))
    measured = results.ratios(rows)
    typical = results.read_ranges().get(given.name, {})
    print("\n".join(results.compare(measured, typical)))
    wrong += [
        f"{row.failures} of {row.requests} calls of {row.verb} failed"
        for row in rows
        if row.failures
    ]
    asked = sum(row.requests for row in rows if row.verb in {"filter", "prioritize"})
    if not asked:
        wrong.append("nothing was asked")
    for sentence in wrong:
        print(f"FAILED: {sentence}")
    print(f"written: {stem}.csv, {stem}.html (locust's report), {stem}_*.csv")
    slow = given.strict and results.slower(measured, typical)
    return int(bool(wrong) or slow)


def progress(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="steady", help=", ".join(scenarios.names()))
    parser.add_argument("--seconds", type=argument_checks.count, default=60)
    parser.add_argument("--nodes", type=int, default=0, help="0: as many as the scenario says")
    parser.add_argument("--ui", action="store_true", help="open locust's page instead")
    parser.add_argument("--strict", action="store_true", help="slower than typical fails, too")
    parser.add_argument(
        "--verify", action="store_true", help="then compare the index with a new one"
    )
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="folder of the results")
    given = parser.parse_args(arguments)
    given.seconds = min(given.seconds, LONGEST_SECONDS)
    given.name = pathlib.Path(given.scenario).stem
    return given


def main(arguments: list[str] | None = None) -> int:
    given = parse(arguments)
    try:
        scenario = scenarios.read(given.scenario)
        scenarios.check_pods(scenario, scenarios.manifests())
        results.read_ranges()
    except scenarios.ScenarioError as error:
        print(f"load test: {error}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return load(scenario, given, pathlib.Path(folder))
        except process.ProcessError as error:
            print(f"load test: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
