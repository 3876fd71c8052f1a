"""From a pod to its question: claims resolved, demands read, the profile chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from extender import bounded_cache, errors
from extender.cluster import store
from extender.demand import (
    claims,
    extended_resources,
    gang,
    kept_objects,
    pod_size_limits,
    requests,
    work,
)
from extender.demand import pod as pods
from extender.hardware import allocator_features, resource_names
from extender.kube.api import objects
from extender.policy import config, preference, profile
from extender.verdicts import query as questions

TOO_LARGE = "too-large"  # the word for a pod beyond `demand.pod_size_limits`

# Without one of these nobody can tell which devices a claim would get. (A claim or template that
# is not seen is missing by itself.)
_NEEDED = frozenset({"ResourceSlice", "ResourceClaim", "DeviceClass"})
_MOST_QUESTIONS = 2048  # of which equal ones are one
# Claims' demands, and pods that wait with their answers: about 2,000 each.
_MOST_DEMANDS = _MOST_ANSWERS = 4 * bounded_cache.MIB


# Why pods pass unjudged, as metrics name it.
COMPILING = "not judged yet: its selectors are being compiled, the next call goes on"
UNFINISHED = "unfinished"  # some nodes passed because a call's allowance had run out
UNJUDGED = ("ResourceClaim", "ResourceClaimTemplate", "unreadable", TOO_LARGE, UNFINISHED)


@dataclasses.dataclass(frozen=True, slots=True)
class ResolvedPod:
    """A pod as the engine sees it. `bound_to` are allocations that already fix its devices.

    `by_node` is the whole question, where only verdicts by node can answer it (see `by_node`).
    """

    question: questions.Query  # as far as shared states can answer it
    requests: pods.Requests
    profile: config.Profile
    claims: tuple[claims.PodClaim, ...] = ()  # those still to be allocated, in demand order
    bound_to: tuple[objects.AllocationResult, ...] = ()
    together: str = ""  # the group it belongs to
    wants: preference.Sandbox = preference.Sandbox.NONE
    uid: str = ""
    by_node: questions.Query | None = None


class QuerySplitter(Protocol):
    """Tells what of a question shared states can answer; see `by_node.selector_split`."""

    @property
    def version(self) -> object: ...

    def split(
        self, question: questions.Query
    ) -> tuple[questions.Query, questions.Query | None]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class NotJudged:
    """A pod that we cannot judge; it passes, and `why` says what was missing."""

    why: str
    too_large: bool = False  # beyond `demand.pod_size_limits`
    unfinished: bool = False  # a call's allowance ended; the next call goes on

    @property
    def kind(self) -> str:
        """A fixed word for a metric label: what kind of thing was missing."""
        if self.too_large:
            return TOO_LARGE
        if self.unfinished:
            return UNFINISHED
        return self.why.partition(" ")[0] if self.why.startswith("ResourceClaim") else "unreadable"


Resolution: TypeAlias = ResolvedPod | NotJudged


def unknown(what: str) -> str:
    """Why a pod is not judged whose claim or template was not shown."""
    return f"{what} is not known here"


class Resolver:
    """Puts questions; remembers claim demands by the claim's identity."""

    def __init__(
        self,
        source: store.ClusterStore,
        features: allocator_features.AllocatorFeatures,
        table: Callable[[], resource_names.Table],  # what units of plug-ins' resources are
        splitter: QuerySplitter | None = None,
    ) -> None:
        self._store = source
        self._splitter = splitter
        self._features = features
        self._table = table
        # Equal ones are one.
        self._questions: bounded_cache.BoundedCache[questions.Query, questions.Query] = (
            bounded_cache.BoundedCache("questions", _MOST_QUESTIONS, bounded_cache.ENTRIES)
        )
        # pod uid → the pod, policy and version of what claims ask that the answer is of
        self._answers: bounded_cache.BoundedCache[
            str, tuple[objects.Pod, config.Policy, int, Resolution]
        ] = bounded_cache.BoundedCache("pod-answers", _MOST_ANSWERS)
        # (id of a claim's spec, version of the classes) → that spec, and what it asks for
        self._demands: bounded_cache.BoundedCache[
            tuple[int, int], tuple[objects.ResourceClaimSpec, requests.ClaimDemand]
        ] = bounded_cache.BoundedCache("claim-demands", _MOST_DEMANDS)

    def caches(self) -> Iterator[bounded_cache.Figures]:
        """How full its caches are."""
        yield self._answers.figures
        yield self._demands.figures
        yield self._questions.figures

    def resolve(self, pod: objects.Pod, policy: config.Policy) -> Resolution:
        """Read what the pod asks for; a pod that the watch showed has its answer at hand."""
        if excess := pod_size_limits.excess_of_pod(pod):
            return NotJudged(excess, too_large=True)
        pod = kept_objects.pod_as_kept(pod)
        version = self._store.demands_version
        uid = pod.metadata.uid
        known = self._answers.get(uid)
        if known is not None:
            known_pod, known_policy, known_version, answer = known
            if known_version == version and known_policy is policy and known_pod == pod:
                return answer
        answer = self._read_pod(pod, policy)
        if isinstance(answer, NotJudged) and answer.unfinished:
            return answer
        size = pod_size_limits.size_of_pod(pod)
        if isinstance(answer, ResolvedPod):
            size += pod_size_limits.size_of_claims(answer.question.claims)
        self._answers.put(uid, (pod, policy, version, answer), size)
        return answer

    @property
    def classes_version(self) -> int:
        """Moves with every device class that is shown."""
        return self._store.classes_version

    def forget(self, uid: str) -> None:
        """The pod has its node, or is gone: nobody asks about it again."""
        self._answers.pop(uid)

    def resolve_whole(self, pod: objects.Pod, policy: config.Policy) -> Resolution:
        """Read what the pod asked for to begin with: its claims, allocated by now or not.

        Resources that no node offers are among it: which are offered may change.
        """
        return self._read_pod(pod, policy, whole=True)

    def resolve_by(
        self, pod: objects.Pod, policy: config.Policy, known: claims.Claims
    ) -> Resolution:
        """Read what the pod would ask for if these were its claims; nothing is remembered."""
        return self._read_pod(pod, policy, known=known)

    def _read_pod(
        self,
        pod: objects.Pod,
        policy: config.Policy,
        *,
        whole: bool = False,
        known: claims.Claims | None = None,
    ) -> Resolution:
        asked = _requests(pod)
        if isinstance(asked, NotJudged):
            return asked
        found = _claims(pod, known or self._store)
        if isinstance(found, NotJudged):
            return found
        open_claims = tuple(claim for claim in found if claim.allocation is None)
        unread = sorted(_NEEDED & self._store.silent - self._store.read)
        if open_claims and unread:
            return NotJudged(f"{unread[0]} cannot be read")
        demands = self._demands_of(found, found if whole else open_claims)
        if isinstance(demands, NotJudged):
            return demands
        chosen = _profile(policy, pod, demands, asked)
        names = asked.extended if whole else self._judged(asked, blind=bool(unread))
        judged = dataclasses.replace(asked, extended=names)
        question = questions.query_of(demands, judged, pod, chosen.locality, blind=bool(unread))
        try:
            question, by_node = self._split(question)
        except work.SpentError:
            return NotJudged(COMPILING, unfinished=True)
        return ResolvedPod(
            question=self._the_one(question),
            requests=asked,
            profile=chosen,
            claims=open_claims,
            bound_to=tuple(claim.allocation for claim in found if claim.allocation is not None),
            together=gang.of_pod(pod),
            wants=preference.wanted(pod, question.names(), passed=self._passed(asked)),
            uid=pod.metadata.uid,
            by_node=by_node,
        )

    def _demands_of(
        self, found: tuple[claims.PodClaim, ...], judged: tuple[claims.PodClaim, ...]
    ) -> tuple[requests.ClaimDemand, ...] | NotJudged:
        """What the claims to judge ask for; none where any of the pod's is too large."""
        if excess := pod_size_limits.excess_of_specs(claim.spec for claim in found):
            return NotJudged(excess, too_large=True)
        try:
            demands = tuple([self._demand(claim) for claim in judged])
        except errors.ClaimError as error:
            return NotJudged(str(error))
        if excess := pod_size_limits.excess_of_claims(demands):
            return NotJudged(excess, too_large=True)
        return demands

    def _split(self, question: questions.Query) -> tuple[questions.Query, questions.Query | None]:
        """The query without what is answered node by node, and that; SpentError."""
        if self._splitter is None:
            return question, None
        return self._splitter.split(question)

    def _the_one(self, question: questions.Query) -> questions.Query:
        """The first question that was equal to this one."""
        known = self._questions.use(question)
        if known is not None:
            return known
        self._questions.put(question, question)
        return question

    def _judged(self, asked: pods.Requests, *, blind: bool) -> tuple[tuple[str, int], ...]:
        """The extended resources that are ours to judge.

        Those behind which a device class stands, and devices that some node has. What no node
        offers belongs to somebody else (another extender may own it, and kube-scheduler then
        ignores it) or is for kube-scheduler's own fit to refuse. Where `blind`, classes may serve
        what nobody offers.
        """
        return tuple(
            (name, count)
            for name, count in asked.extended
            if self.judges(name) or (blind and self._is_device(name))
        )

    def judges(self, name: str) -> bool:
        """Whether the extended resource is ours to judge, by what is offered and served now."""
        return self._served(name) or (name in self._store.offered and self._is_device(name))

    def _is_device(self, name: str) -> bool:
        return self._table().kind_of(name) is not None

    def _served(self, name: str) -> bool:
        """Whether DRA stands behind the resource's name."""
        if not self._features.extended_resources:
            return False
        implicit = name.removeprefix(extended_resources.IMPLICIT_PREFIX)
        return name in self._store.served or (implicit != name and implicit in self._store.classes)

    def _passed(self, asked: pods.Requests) -> bool:
        """Whether some resource of the pod is handed to virtual machines."""
        known = [self._table().of(name) for name, _ in asked.extended]
        return any(each is not None and each.virtual for each in known)

    def _demand(self, claim: claims.PodClaim) -> requests.ClaimDemand:
        """What a claim or a template asks for, read once for each spec that the store holds."""
        key = id(claim.spec), self._store.classes_version
        known = self._demands.get(key)
        if known is not None and known[0] is claim.spec:  # which is kept, so no other has its id
            return known[1]
        demand = self._read(claim)
        self._demands.put(key, (claim.spec, demand), 2 * pod_size_limits.size_of_claims((demand,)))
        return demand

    def _read(self, claim: claims.PodClaim) -> requests.ClaimDemand:
        return requests.claim_demand(claim.spec, self._store.classes, features=self._features)


def _requests(pod: objects.Pod) -> pods.Requests | NotJudged:
    if excess := pod_size_limits.excess_of_pod(pod):
        return NotJudged(excess, too_large=True)
    try:
        return pods.requests_of(pod)
    except ValueError as error:
        return NotJudged(str(error))


def _claims(pod: objects.Pod, known: claims.Claims) -> tuple[claims.PodClaim, ...] | NotJudged:
    found = claims.of_pod(pod, known)
    if isinstance(found, claims.Missing):
        return NotJudged(unknown(found.what))
    if isinstance(found, claims.NotRead):
        return NotJudged(found.why)
    return found


def _profile(
    policy: config.Policy,
    pod: objects.Pod,
    demands: tuple[requests.ClaimDemand, ...],
    asked: pods.Requests,
) -> config.Profile:
    return profile.for_pod(
        policy,
        pod,
        device_class_names=questions.device_classes(demands),
        resources=(name for name, _ in asked.extended),
    )
