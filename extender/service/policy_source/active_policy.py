"""Which policy is in force and why; a missing, deleted or broken ConfigMap is never passed over.

      ConfigMap is good ──► in force, and written to the last-good file
      broken or missing ──► the one in force stays; "refused since" tells until it is mended
      …and none is yet  ──► the last-good file, else the fallback, else nothing: not ready

The last-good file outlives a restart of the container (an emptyDir will do). A new pod that meets a
broken ConfigMap is not ready unless a fallback was named: a rollout stops, and the pods before it
go on. The policy that ships with the program is used by accident in no case.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import time
from collections.abc import Callable

from extender import errors
from extender.kube.api import objects
from extender.kube.watch import informers
from extender.policy import config
from extender.server import policy_figures
from extender.service import assembly
from extender.service.policy_source import kept_text, policy_events, policy_text
from extender.settings import Settings

_LOG = logging.getLogger(__name__)
BUILTIN = "builtin"
_MOST_SHOWN = 1000  # characters of a refusal that are shown


# Kinds of sources, as the metric's label names them.
CONFIG_MAP, FILE, LAST_GOOD, FALLBACK = "configmap", "file", "last-good", "fallback"


@dataclasses.dataclass(frozen=True, slots=True)
class Fallback:
    """What is used where no ConfigMap's policy can be: the policy, and what it is called."""

    policy: config.Policy
    origin: str
    kind: str = BUILTIN


def given(policy: config.Policy, path: pathlib.Path | None) -> Fallback:
    """The policy of `--policy`, which is all there is without a ConfigMap."""
    if path is None:
        return Fallback(policy, "the built-in policy", BUILTIN)
    return Fallback(policy, f"the file {path}", FILE)


def named(text: str | None) -> Fallback | None:
    """The policy that `--policy-fallback` names; ConfigError where it cannot be used."""
    if text is None:
        return None
    path = None if text == BUILTIN else pathlib.Path(text)
    return given(assembly.read_policy(path), path)


@dataclasses.dataclass(frozen=True, slots=True)
class Followed:
    """Where the policy comes from: the kinds to watch for it, and what is used without it.

    `config_map` is NAMESPACE/NAME, empty where none is followed.
    """

    kinds: tuple[informers.Wanted, ...]
    config_map: str
    fallback: Fallback | None


def followed(settings: Settings, policy: config.Policy, namespace: str) -> Followed:
    """What the settings say; `namespace` is ours, for a ConfigMap without one."""
    if not settings.policy_config_map:
        return Followed(informers.KINDS, "", given(policy, settings.policy))
    named_in, _, name = settings.policy_config_map.rpartition("/")
    where = named_in or namespace
    kinds = (*informers.KINDS, informers.config_map(where, name))
    return Followed(kinds, f"{where}/{name}", named(settings.policy_fallback))


@dataclasses.dataclass(frozen=True, slots=True)
class RefusedPolicy:
    """Why the ConfigMap is not followed, and since when (seconds since 1970).

    `problems` are (where, what is wrong) where its text was read.
    """

    why: str
    since: float
    resource_version: str = ""
    problems: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class InForce:
    """The policy that judges, where it comes from, and since when (seconds since 1970)."""

    policy: config.Policy
    origin: str
    kind: str
    since: float
    resource_version: str = ""

    @property
    def fingerprint(self) -> str:
        return config.fingerprint(self.policy)


class Policies:
    """Takes in what the watch shows of the ConfigMap; `use` hears of each policy to judge by.

    With no `config_map` the policy given at the start is all there is.
    """

    def __init__(
        self,
        use: Callable[[config.Policy], None],
        *,
        config_map: str = "",
        fallback: Fallback | None = None,
        last_good: pathlib.Path | None = None,
        counted: Callable[[bool], None] = lambda _: None,
        announced: Callable[[objects.ConfigMap, str, str], None] = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._use = use
        self._name = f"ConfigMap {config_map}"
        self._fallback = fallback
        self._last_good = last_good
        self._counted = counted
        self._announced = announced  # hears (ConfigMap, USED or REFUSED, a sentence)
        self._clock = clock
        self._text: object = None  # of the ConfigMap when it was looked at last
        self._refused: RefusedPolicy | None = None
        self.last_refused: RefusedPolicy | None = None  # the last one, mended since or not
        self._in_force: InForce | None = None
        if not config_map and fallback is not None:
            self._take(fallback.policy, fallback.origin, fallback.kind)

    # ------------------------------------------------------------ what is in force

    def waiting_for(self) -> dict[str, str]:
        """What must be mended before anything is judged; empty when a policy is in force."""
        if self._in_force is not None:
            return {}
        why = self._refused.why if self._refused is not None else "has not been read yet"
        return {"a policy": f"{self._name} {why}"}

    def figures(self) -> policy_figures.PolicyFigures:
        """What metrics, readiness and explain tell of the policy."""
        used, refused = self._in_force, self._refused
        return policy_figures.PolicyFigures(
            fingerprint=used.fingerprint if used is not None else "",
            origin=used.origin if used is not None else "",
            source=used.kind if used is not None else "",
            refused_since=refused.since if refused is not None else 0.0,
            notes=self.notes(),
        )

    @property
    def in_force(self) -> InForce | None:
        """The policy that judges; None before one could be used."""
        return self._in_force

    @property
    def refused(self) -> RefusedPolicy | None:
        """Why the ConfigMap is not followed now; None while it is."""
        return self._refused

    def notes(self) -> tuple[str, ...]:
        """What an operator should know of the policy, in sentences."""
        in_force = self._in_force
        found = config.warnings(in_force.policy) if in_force is not None else ()
        if self._refused is not None:
            used = f"; in force is {in_force.origin}" if in_force is not None else ""
            found = (f"{self._name} is not followed: {self._refused.why}{used}", *found)
        return found

    # ------------------------------------------------------------ what the watch shows

    def see(self, item: objects.ConfigMap) -> None:
        """The watch shows the ConfigMap; the same content again is no news."""
        text = (item.data or {}).get(policy_text.KEY), sorted(item.binary_data or ())
        version = item.metadata.resource_version
        if text == self._text:
            self._unchanged(version)
            return
        self._text = text
        try:
            policy = policy_text.of_config_map(item, source=self._name)
        except errors.ConfigError as error:
            self._counted(False)
            why = _sentence(error).removeprefix(f"{self._name} ")
            self._refuse(why, version, tuple(error.problems))
            self._announced(item, policy_events.REFUSED, self._refusal())
            return
        self._counted(True)
        self._refused = None
        self._take(policy, self._name, CONFIG_MAP, version)
        self._keep(text[0] or "")
        used = f"policy {config.fingerprint(policy)} is in force"
        self._announced(item, policy_events.USED, used)

    def _unchanged(self, version: str) -> None:
        """Labels or annotations of the ConfigMap changed, or it was listed again."""
        if self._refused is not None:
            self._refused = dataclasses.replace(self._refused, resource_version=version)
        elif self._in_force is not None:
            self._in_force = dataclasses.replace(self._in_force, resource_version=version)

    def missing(self, why: str = "does not exist") -> None:
        """The watch shows that there is no such ConfigMap, or it may not be read."""
        if self._refused is not None and self._text is None:
            self._refused = dataclasses.replace(self._refused, why=why[:_MOST_SHOWN])
            self.last_refused = self._refused
            return  # as before, however it is put now
        self._text = None
        self._counted(False)
        self._refuse(why)

    def _refusal(self) -> str:
        """What is wrong with the ConfigMap, and what is in force instead."""
        why = self._refused.why if self._refused is not None else ""
        used = self._in_force
        if used is None:
            return f"not followed: {why}; no policy is in force"
        return f"not followed: {why}; in force is policy {used.fingerprint} of {used.origin}"

    def _refuse(
        self, why: str, version: str = "", problems: tuple[tuple[str, str], ...] = ()
    ) -> None:
        since = self._refused.since if self._refused is not None else self._clock()
        self._refused = RefusedPolicy(why[:_MOST_SHOWN], since, version, problems)
        self.last_refused = self._refused
        if self._in_force is None:
            self._resort()
        if self._in_force is None:
            _LOG.error("%s %s: not ready without a policy", self._name, why)
        else:
            _LOG.error("%s %s: %s stays in force", self._name, why, self._in_force.origin)

    def _take(self, policy: config.Policy, origin: str, kind: str, version: str = "") -> None:
        self._in_force = InForce(policy, origin, kind, self._clock(), version)
        self._use(policy)
        _LOG.info("%s is in force, policy %s", origin, self._in_force.fingerprint)

    # ------------------------------------------------------------ what a restart goes by

    def _resort(self) -> None:
        """Use what there is instead: the last good policy, else the fallback."""
        found = self._kept()
        if found is not None:
            self._take(found, f"the last good policy of {self._name}", LAST_GOOD)
        elif self._fallback is not None:
            self._take(self._fallback.policy, f"the fallback, {self._fallback.origin}", FALLBACK)

    def _kept(self) -> config.Policy | None:
        if self._last_good is None:
            return None
        try:
            text = self._last_good.read_text(encoding="utf-8")
            first, _, rest = text.partition("\n")
            if first != self._title:
                return None  # another ConfigMap's
            return policy_text.parse(rest, source=str(self._last_good))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, errors.ConfigError) as error:
            _LOG.error("the last good policy cannot be used: %s", error)
            return None

    def _keep(self, text: str) -> None:
        """Write the policy for the next start, whole or not at all."""
        if self._last_good is None:
            return
        try:
            kept_text.write(self._last_good, f"{self._title}\n{text}")
        except OSError as error:
            _LOG.warning("the last good policy cannot be kept for a restart: %s", error)

    @property
    def _title(self) -> str:
        return f"# last good policy of {self._name}"


def _sentence(error: errors.ConfigError) -> str:
    """The refusal in one line: what is wrong, and where."""
    listed = [f"{where}: {text}" if where else text for where, text in error.problems]
    return f"{error.what.partition(' is ')[2] or error.what}: {'; '.join(listed)}"
