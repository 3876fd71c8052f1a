"""One process of the control plane: started, watched until it answers, stopped by its own id."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence


class ProcessError(Exception):
    """A component ended or did not become ready; the message carries the end of its log."""


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment.

    From below the range of outgoing connections (on Linux 32768 and up): a component that restarts
    must find its port free, and a client that keeps trying must not connect to itself.
    """
    while True:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@dataclasses.dataclass
class Process:
    name: str
    command: Sequence[str]
    log: pathlib.Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    folder: pathlib.Path | None = None
    ends_by_itself: bool = True  # when its standard input does, as our Go binary
    _child: subprocess.Popen | None = None
    _watcher: subprocess.Popen | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self.alive else None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def cpu_seconds(self) -> float:
        """Return the processor time used so far, user and system; 0 when it does not run."""
        if not self.alive:
            return 0.0
        stat = pathlib.Path(f"/proc/{self._child.pid}/stat").read_text()
        # Fields 14 and 15 of proc(5); the name in field 2 may hold blanks, so count from its end.
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def start(self) -> None:
        if self.alive:
            raise ProcessError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                # Our binary ends with this pipe, so a killed test run leaves nothing behind.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "CONTROLPLANE_FOLLOW_STDIN": "1", **self.environment},
                # Ctrl-C in the terminal reaches the test run only, which then stops us in order.
                start_new_session=True,
            )
        if not self.ends_by_itself:
            # The same for others: this one's input ends with us, then it ends the process.
            self._watcher = subprocess.Popen(
                ["sh", "-c", 'cat > /dev/null; kill "$0"', str(self._child.pid)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def stop(self, *, kill: bool = False, patience: float = 20) -> int | None:
        """End the process, politely unless `kill`; return its exit code, None if not started."""
        if self._child is None:
            return None
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._child.wait(patience)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.wait()
            self._watcher.stdin.close()
            self._watcher = None
        return self._child.returncode

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of the log, however long it is."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 400 * lines))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def wait_until_answers(
        self,
        path: str,
        *,
        port: int,
        tls: ssl.SSLContext | None = None,
        token: str = "",
        patience: float = 60,
    ) -> None:
        """Return when GET `path` is answered 200; raise ProcessError if it ends or takes longer."""
        answer = "no connection"
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not self.alive:
                break
            try:
                status, body = get(path, port=port, tls=tls, token=token)
            except (OSError, http.client.HTTPException) as error:
                answer = str(error)
            else:
                if status == http.HTTPStatus.OK:
                    return
                answer = f"{status} {body[-600:]}"
            time.sleep(0.1)
        state = "not ready" if self.alive else f"ended with {self._child.returncode}"
        raise ProcessError(f"{self.name} {state}: {answer}\n{self.log}:\n{self.tail()}")


def get(
    path: str, *, port: int, tls: ssl.SSLContext | None = None, token: str = "", patience: float = 5
) -> tuple[int, str]:
    """GET from a loopback port; return status and body."""
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=patience, context=tls)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
