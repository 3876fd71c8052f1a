"""kube-scheduler's side of the extender as a locust user: `locust -f loadtests/locustfile.py`.

A user is one kube-scheduler: it keeps one connection, has one call under way at a time, and asks
about one pod after another: filter over a window of the nodes, prioritize over those that pass,
sometimes preempt. A reply that would mislead a kube-scheduler is a failure. A scenario says what is
sent (`loadtests/scenarios`); `--host` is where Railyard's verbs are.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import random
import socket
import sys
import time

import gevent
import msgspec
from gevent import ssl
from locust import FastHttpUser, constant_throughput, events, runners, stats, task

# `locust` looks for modules beside this file only; in a checkout the others are one folder up.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from loadtests.traffic import answers, requests, results, scenarios, sources

TIMEOUT_SECONDS = 5.0  # kube-scheduler's for an extender, unless its configuration says otherwise


def significant(milliseconds: float) -> float:
    """Three digits of a response time: a reply in under a millisecond is the usual case here."""
    return float(f"{milliseconds:.3g}")


stats.bucket_response_time = significant


@events.init_command_line_parser.add_listener
def add_arguments(parser, **_):
    group = parser.add_argument_group("Railyard")
    group.add_argument("--scenario", default="steady", help="name or path of a scenario")
    group.add_argument("--nodes", default="", help="the nodes: file or URL of a NodeList, or names")
    group.add_argument("--bound-pods", default="", help="file or URL of a PodList, for preempt")
    group.add_argument("--pods", default="", help="file of pod manifests, instead of ours")
    group.add_argument("--echo", default="", help="URL of an extender that only echoes")
    group.add_argument("--ca", default="", help="authority of the service's certificate")
    group.add_argument("--client-certificate", default="", help="kube-scheduler's certificate")
    group.add_argument("--client-key", default="", help="its private key")
    group.add_argument("--summary", default="", help="also write the table here, as JSON")


class Plan:
    """What all users of this process share: the scenario, its pods, the cluster."""

    def __init__(self, options) -> None:
        # A worker's options become its master's once users are started; files and keys are its own.
        self.echo = options.echo
        self.tls = client_tls(options) if options.ca else None
        self.scenario = scenarios.read(options.scenario)
        self.manifests = scenarios.manifests(
            pathlib.Path(options.pods) if options.pods else scenarios.MANIFESTS
        )
        if options.pods:  # theirs, in their namespaces, all alike
            self.scenario = sources.with_own_pods(self.scenario, self.manifests)
        scenarios.check_pods(self.scenario, self.manifests)
        self.cluster = sources.cluster(
            options.nodes,
            options.bound_pods if self.scenario.preempt_share else "",
            whole=self.scenario.whole_nodes,
        )
        self.callers = itertools.count()


@events.init.add_listener
def prepare(environment, **_):
    """Read scenario and cluster before the first user; what is wrong with them ends the process."""
    if isinstance(environment.runner, runners.MasterRunner):
        return  # sends nothing itself
    try:
        environment.plan = Plan(environment.parsed_options)
    except scenarios.ScenarioError as error:
        sys.exit(f"load test: {error}")
    # Timers count from the time that the loop has last seen: without this the run would be shorter
    # by what was read.
    gevent.get_hub().loop.update_now()


def pace(user) -> float:
    """Seconds until the next task, for the scenario's pods in a second of all schedulers."""
    scenario = user.plan.scenario
    if scenario.gang or not scenario.pods_per_second:
        return 0.0
    each = scenario.pods_per_second / scenario.schedulers
    return constant_throughput(each)(user)


class KubeScheduler(FastHttpUser):
    """One kube-scheduler with Railyard as its extender."""

    wait_time = pace
    concurrency = 1
    connection_timeout = network_timeout = TIMEOUT_SECONDS
    max_retries = 0
    max_redirects = 0

    def __init__(self, environment) -> None:
        self.plan = environment.plan
        self.insecure = False
        if self.plan.tls is not None:
            self.ssl_context_factory = lambda: self.plan.tls
        super().__init__(environment)
        # Other processes and runs send pods of other names.
        run = f"{socket.gethostname()[:12]}-{os.getpid()}-{time.time_ns() % 10**9:x}"
        self._rng = random.Random(run)
        scenario, cluster = self.plan.scenario, self.plan.cluster
        caller = f"{run}-{next(self.plan.callers)}".lower()
        self._pods = iter(requests.Pods(scenario, self.plan.manifests, caller=caller))
        self._windows = iter(requests.Windows(cluster.names, scenario.asked))
        self._nodes = cluster.nodes if scenario.whole_nodes else None
        self._asked = 0

    @task
    def place(self) -> None:
        """Place the next pod, or all pods of the next gang and then rest."""
        gang = self.plan.scenario.gang
        for _ in range(gang.pods if gang else 1):
            self._place(next(self._pods), next(self._windows))
        if gang:
            gevent.sleep(gang.pause_seconds)

    def _place(self, pod: dict, names: list[str]) -> None:
        scenario = self.plan.scenario
        self._asked += 1
        echoed = scenario.echo_every and self._asked % scenario.echo_every == 0
        body = requests.question(pod, names, self._nodes)
        passing: list[str] = []

        def seen(reply: object) -> None:
            passing.extend(answers.passing(reply, names))

        self._call("filter", body, seen, echoed=echoed)
        if passing:
            body = requests.question(pod, passing, self._nodes)
            check = lambda reply: answers.check_scores(reply, passing)  # noqa: E731 - one use
            self._call("prioritize", body, check, echoed=echoed)
        if self.plan.cluster.bound and self._rng.random() < scenario.preempt_share:
            offered = requests.offer(self.plan.cluster, self._rng)
            check = lambda reply: answers.check_victims(reply, offered)  # noqa: E731 - the same
            self._call("preempt", requests.eviction(pod, offered), check)

    def _call(self, verb: str, body: bytes, check, *, echoed: bool = False) -> None:
        """Ask Railyard, and the echo, in random order: what comes second finds warmer caches."""
        calls = [(verb, f"/{verb}", check)]
        echo = self.plan.echo
        if echoed and echo:
            calls.append((f"{results.ECHO}{verb}", f"{echo}/{verb}", lambda _: None))
        for name, url, checked in self._rng.sample(calls, len(calls)):
            self._post(name, url, body, checked)

    def _post(self, name: str, url: str, body: bytes, check) -> None:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        asked = self.client.post(url, name=name, data=body, headers=headers, catch_response=True)
        with asked as reply:
            try:
                check(answers.decoded(reply.status_code, reply.content or b""))
            except answers.WrongAnswer as error:
                reply.failure(str(error))
            except (KeyError, TypeError, AttributeError) as error:
                reply.failure(f"the reply has another form: {error!r}")
            else:
                reply.success()


def client_tls(options) -> ssl.SSLContext:
    """Trust the authority, and show the client's certificate. Raises ScenarioError."""
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.client_certificate:
            context.load_cert_chain(options.client_certificate, options.client_key or None)
    except OSError as error:  # ssl.SSLError is one
        raise scenarios.ScenarioError(f"certificates cannot be used: {error}") from None
    return context


@events.quitting.add_listener
def tell(environment, **_):
    """Print the table where all results come together, and write it where asked."""
    if isinstance(environment.runner, runners.WorkerRunner):
        return
    rows = [
        results.Row(
            verb=entry.name,
            requests=entry.num_requests,
            failures=entry.num_failures,
            **{
                name: float(entry.get_response_time_percentile(share) or 0)
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
            },
            max=float(entry.max_response_time or 0),
        )
        for entry in sorted(environment.stats.entries.values(), key=lambda each: each.name)
    ]
    print(results.table(rows), flush=True)
    if environment.parsed_options.summary:
        found = [msgspec.to_builtins(row) for row in rows]
        pathlib.Path(environment.parsed_options.summary).write_text(json.dumps(found) + "\n")
