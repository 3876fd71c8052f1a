"""A real Kubernetes control plane on free loopback ports, for as long as a test run lasts.

    with plane.ControlPlane(build.build("1.36.3"), folder) as cluster:
        with cluster.scheduling(configuration.Scheduling(extenders=[...])):
            async with cluster.api() as api:
                await api.create(fleet.node("node-0"))

etcd, kube-apiserver (RBAC on) and kube-controller-manager run from `start` to `stop`;
kube-scheduler runs while `scheduling` holds, since every test configures it in its own way. There
is no kubelet: a Node object is enough to be scheduled on, bound pods stay Pending.
Everything is stopped by process id, and also ends by itself when the test run is killed.
"""

from __future__ import annotations

import contextlib
import pathlib
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from tests.kit.controlplane import certificates, configuration, process
from tests.kit.controlplane.api import Api

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]

# What the shipped manifests bind their roles to; a token may carry a service account's name, so
# that Railyard runs here with exactly the permissions it will have.
RAILYARD = "system:serviceaccount:railyard:railyard"
USERS: dict[str, tuple[str, tuple[str, ...]]] = {  # short name → (user, groups)
    "admin": ("admin", ("system:masters",)),
    "kube-scheduler": ("system:kube-scheduler", ()),
    # As admin: without service account credentials the controllers act under this one name.
    "kube-controller-manager": ("system:kube-controller-manager", ("system:masters",)),
    "railyard": (RAILYARD, ("system:serviceaccounts", "system:serviceaccounts:railyard")),
    "gpu-scheduler": (
        f"{RAILYARD}-gpu-scheduler",
        ("system:serviceaccounts", "system:serviceaccounts:railyard"),
    ),
}
CONTROLLERS = (
    "resourceclaim-controller",
    "device-taint-eviction-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "disruption-controller",
)
# Without these two, pods would need a service account and new nodes would be tainted not-ready.
DISABLED_ADMISSION = "ServiceAccount,TaintNodesByCondition"


class ControlPlane:
    """The components, their folder with logs and credentials, and ways to reach them.

    `feature_gates` go to every component, `runtime_config` to kube-apiserver.
    """

    def __init__(
        self,
        binary: pathlib.Path,
        folder: pathlib.Path,
        *,
        feature_gates: Mapping[str, bool] | None = None,
        runtime_config: Sequence[str] = (),
    ):
        self.folder = folder
        self.port = process.free_port()
        self.components: dict[str, process.Process] = {}  # name → process
        self._binary = binary
        self.feature_gates = dict(feature_gates or {})  # gate → on
        self._runtime_config = runtime_config
        self._etcd_port, self._controllers_port = process.free_port(), process.free_port()
        self._scheduler_port = process.free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = certificates.Authority(folder / "pki")
        self.extender_authority = certificates.Authority(folder / "extender-pki")
        self._serving = self.authority.issue("127.0.0.1", "localhost", "kubernetes", name="server")
        self._service_accounts = self.authority.issue("service-accounts", name="service-accounts")
        issue = self.extender_authority.issue
        self._extender_pairs = (
            issue("127.0.0.1", "localhost", name="extender"),
            issue("kube-scheduler.test", name=certificates.SCHEDULER_NAME),
        )
        self.users = {
            short: configuration.User(name, secrets.token_hex(16), groups)
            for short, (name, groups) in USERS.items()
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all but kube-scheduler, and give Railyard's user its permissions."""
        try:
            self._start("etcd", self._etcd_flags())
            self._start("kube-apiserver", self._apiserver_flags())
            self.wait_ready("kube-apiserver")
            self._start("kube-controller-manager", self._controllers_flags())
            self.kubectl("apply", "--filename", REPOSITORY / "deploy/base/namespace.yaml")
            self.kubectl("apply", "--filename", REPOSITORY / "deploy/base/rbac.yaml")
            self.wait_ready("kube-controller-manager")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            if name in self.components:
                # Nothing is kept, so nothing needs an orderly end.
                self.components[name].stop(kill=True)

    def restart(self, name: str, *, kill: bool = False, downtime: float = 0) -> None:
        """Stop one component (at once if `kill`) and start it anew on the same port and data."""
        component = self.components[name]
        component.stop(kill=kill)
        if downtime:
            time.sleep(downtime)
        component.start()
        self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        path, port = {
            "kube-apiserver": ("/readyz", self.port),
            "kube-controller-manager": ("/healthz", self._controllers_port),
            "kube-scheduler": ("/readyz", self._scheduler_port),
        }[name]
        self.components[name].wait_until_answers(
            path,
            port=port,
            tls=self.authority.trusting_context(),
            token=self.users["admin"].token,
        )

    @contextlib.contextmanager
    def scheduling(
        self, options: configuration.Scheduling, *, user: str = "kube-scheduler"
    ) -> Iterator[process.Process]:
        """Run kube-scheduler with these options; it is ready on entry and stopped on exit."""
        self.start_scheduler(options, user=user)
        try:
            yield self.components["kube-scheduler"]
        finally:
            self.stop_scheduler()

    def start_scheduler(
        self, options: configuration.Scheduling, *, user: str = "kube-scheduler"
    ) -> None:
        config = configuration.write_json(
            self.folder / "kube-scheduler.json", options.document(self.kubeconfig(user))
        )
        self._start("kube-scheduler", self._scheduler_flags(config, options, user))
        self.wait_ready("kube-scheduler")

    def stop_scheduler(self) -> None:
        self.components["kube-scheduler"].stop()

    def scheduler_metrics(self) -> str:
        """Return kube-scheduler's /metrics, in Prometheus' text form."""
        status, body = process.get(
            "/metrics",
            port=self._scheduler_port,
            tls=self.authority.trusting_context(),
            token=self.users["admin"].token,
        )
        if status != 200:
            raise process.ProcessError(f"kube-scheduler /metrics: {status} {body}")
        return body

    def kubeconfig(self, user: str) -> pathlib.Path:
        """Return a kubeconfig of `admin`, `railyard`, `kube-scheduler` or another of `USERS`."""
        return configuration.write_kubeconfig(
            self.folder / f"{user}.kubeconfig",
            self.users[user],
            port=self.port,
            authority=self.authority.certificate,
        )

    def extender_pairs(self) -> tuple[certificates.KeyPair, certificates.KeyPair]:
        """Return an extender's pair, valid for 127.0.0.1 and localhost, and kube-scheduler's."""
        return self._extender_pairs

    def kubectl(self, *arguments: str | pathlib.Path, user: str = "admin") -> str:
        """Run kubectl of the same version as `user`; return what it printed, raise if it failed."""
        command = [self._binary, "kubectl", "--kubeconfig", self.kubeconfig(user), *arguments]
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": str(self.folder)},  # its discovery cache goes where all else goes
        )
        if done.returncode:
            raise process.ProcessError(f"kubectl {arguments}: {done.stderr}{done.stdout}")
        return done.stdout

    def api(self, user: str = "admin") -> Api:
        """Return a client to be entered by `async with`, in the caller's event loop."""
        return Api(
            f"https://127.0.0.1:{self.port}",
            token=self.users[user].token,
            tls=self.authority.trusting_context(),
        )

    def log_tails(self, lines: int = 20) -> dict[str, str]:
        """Return the end of each component's log, by component name."""
        return {name: component.tail(lines) for name, component in self.components.items()}

    def _start(self, name: str, flags: Sequence[str]) -> None:
        log = self.folder / f"{name}.log"
        component = process.Process(name, [str(self._binary), name, *flags], log)
        self.components[name] = component
        component.start()

    def _etcd_flags(self) -> list[str]:
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{self._etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{process.free_port()}",
        ]

    def _apiserver_flags(self) -> list[str]:
        tokens = configuration.write_tokens(self.folder / "tokens.csv", list(self.users.values()))
        flags = [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a loopback address is no valid endpoint
            f"--cert-dir={self.folder / 'pki'}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            f"--service-account-key-file={self._service_accounts.key}",
            f"--service-account-signing-key-file={self._service_accounts.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/12",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            f"--disable-admission-plugins={DISABLED_ADMISSION}",
            *gate_flags(self.feature_gates),
        ]
        if self._runtime_config:
            flags.append(f"--runtime-config={','.join(self._runtime_config)}")
        return flags

    def _controllers_flags(self) -> list[str]:
        return [
            f"--controllers={','.join(CONTROLLERS)}",
            "--leader-elect=false",
            # Claims from templates for hundreds of pods a second; the default is 20.
            "--kube-api-qps=2000",
            "--kube-api-burst=4000",
            *self._serving_flags("kube-controller-manager", self._controllers_port),
            *gate_flags(self.feature_gates),
        ]

    def _scheduler_flags(
        self, config: pathlib.Path, options: configuration.Scheduling, user: str
    ) -> list[str]:
        return [
            f"--config={config}",
            *self._serving_flags(user, self._scheduler_port)[1:],
            *gate_flags({**self.feature_gates, **options.feature_gates}),
        ]

    def _serving_flags(self, user: str, port: int) -> list[str]:
        kubeconfig = self.kubeconfig(user)
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            # There are no client certificates here, hence no published authority to look up.
            "--authentication-skip-lookup",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
        ]


def gate_flags(gates: Mapping[str, bool]) -> list[str]:
    """Return the flag that sets these gates: kube-scheduler and Railyard take the same one."""
    if not gates:
        return []
    words = ",".join(f"{gate}={str(on).lower()}" for gate, on in sorted(gates.items()))
    return [f"--feature-gates={words}"]
