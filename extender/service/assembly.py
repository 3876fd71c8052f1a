"""From a policy, a catalogue and a version to an engine; from a snapshot to one that judges."""

from __future__ import annotations

import codecs
import functools
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from extender import errors, settings
from extender.cluster import index, machines, store
from extender.decisions import engine
from extender.decisions.expected import prediction_log
from extender.demand import extended_resources, selectors, work
from extender.demand.allocator import allocator
from extender.hardware import allocator_features
from extender.hardware.catalogue import catalogue
from extender.kube.api import objects
from extender.policy import config, locality
from extender.replay import snapshots
from extender.rollout import document
from extender.service.policy_source import candidate_text, policy_text
from extender.verdicts import evaluator, per_node
from extender.verdicts.by_node import selector_split

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Nodes that one request reads for a change of what nodes share; each takes half a millisecond.
_DUE_AT_ONCE = 16


def read_policy(path: pathlib.Path | None) -> config.Policy:
    """The policy in a file, or the one that ships with the program; ConfigError says what is wrong.

    A ConfigMap manifest is read through: its `policy.yaml` is the policy.
    """
    path = path or settings.embedded("policy.yaml")
    return policy_text.parse_file(read_text(path), source=str(path))


def read_candidate(path: pathlib.Path) -> tuple[document.Candidate, str]:
    """The candidate policy in a file, and its text; of a ConfigMap manifest its `shadow.yaml`."""
    text = read_text(path)
    return candidate_text.parse_file(text, source=str(path)), text


def read_text(path: pathlib.Path) -> str:
    """The text of a policy's file, no longer than a policy may be; ConfigError if it has none."""
    try:
        with path.open("rb") as file:
            held = file.read(policy_text.MOST_BYTES + 1)
        # Editors on Windows write UTF-16, with a mark at the beginning.
        return held.decode("utf-16" if held[:2] in _UTF_16 else "utf-8")
    except FileNotFoundError as error:
        raise errors.ConfigError(
            "the policy cannot be read", [(str(path), "no such file")]
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError("the policy cannot be read", [(str(path), str(error))]) from error


@functools.cache
def read_catalogue() -> catalogue.Catalogue:
    """The hardware catalogue that ships with the program; it takes a second to read, once."""
    folder = settings.embedded("hardware")
    return catalogue.parse({path.name: path.read_bytes() for path in sorted(folder.iterdir())})


def _selectors(
    features: allocator_features.AllocatorFeatures, spending: work.Work
) -> selectors.Selectors:
    """The CEL engine as that version of Kubernetes has it."""
    reads_lists = features.list_attributes or not features.selectors_refuse_lists
    return selectors.Selectors(
        list_attributes=reads_lists, minor=features.selectors_minor, spending=spending
    )


def _calibrations(hardware: catalogue.Catalogue) -> dict[str, locality.Calibration]:
    """Platform → its measured bandwidth factors."""
    return {
        each.name: locality.Calibration(**hardware.calibration(each.name))
        for each in hardware.platforms
    }


def _classes(
    picture: store.ClusterStore, features: allocator_features.AllocatorFeatures
) -> extended_resources.ExtendedResourceClasses:
    """The device classes that serve extended resources, as the store has them."""
    return extended_resources.ExtendedResourceClasses(
        lambda: picture.classes, lambda: picture.classes_version, features
    )


def assemble(
    *,
    policy: config.Policy,
    features: allocator_features.AllocatorFeatures,
    hardware: catalogue.Catalogue,
    clock: Callable[[], float] = time.monotonic,
    patient: bool = True,
    on_prediction: Callable[[str, prediction_log.Mismatch | None], None] = lambda *_: None,
) -> engine.Engine:
    """An engine over an empty store; feed `engine.store` and it judges.

    `patient` lets it count all headroom at once, however long that takes; a live service must not.
    """
    picture = store.ClusterStore()
    spending = work.Work(patient=patient)
    builder = machines.Builder(features=features, hardware=hardware)
    shared = selectors.Shared(_selectors(features, spending), lambda: builder.apart)
    predictor = allocator.Predictor(
        selectors=shared, features=features, budget=policy.step_budget, spending=spending
    )
    cluster = index.TopologyIndex(picture, builder, at_once=None if patient else _DUE_AT_ONCE)
    classes = _classes(picture, features)
    verdicts = evaluator.Evaluator(
        predictor,
        extended_claim=classes.claim,
        calibrations=_calibrations(hardware),
        matches=shared.matches,
    )
    return engine.Engine(
        picture,
        cluster,
        verdicts,
        single=per_node.PerNodeVerdicts(
            cluster, verdicts, shared, selector_split.Splitter(shared, classes)
        ),
        policy=policy,
        clock=clock,
        patient=patient,
        on_prediction=on_prediction,
    )


def from_snapshot(
    paths: Sequence[pathlib.Path],
    *,
    policy: config.Policy,
    kubernetes_version: str = "",
    feature_gates: Mapping[str, bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
    strict: bool = False,
) -> tuple[engine.Engine, snapshots.Snapshot]:
    """An engine over what can be read of a snapshot; the rest is named there."""
    snapshot = snapshots.read(paths, strict=strict)
    judging = assemble(
        policy=policy,
        features=features_for(kubernetes_version or policy.kubernetes_version, feature_gates),
        hardware=read_catalogue(),
        clock=clock,
    )
    feed(judging, snapshot.objects)
    judging.settle()
    return judging, snapshot


def feed(judging: engine.Engine, found: Iterable[tuple[str, objects.Object]]) -> None:
    """Put objects into the engine's store, as a watch would."""
    for kind, item in found:
        judging.store.apply(kind, "ADDED", item)


def notes(version: str, gates: Mapping[str, bool] | None = None) -> tuple[str, ...]:
    """What is to be said of the version and the gates that predictions go by, in sentences."""
    remark = allocator_features.remark(version) if version else ""
    return (
        *([f"Kubernetes version: {remark}"] if remark else []),
        *allocator_features.unknown_gates(gates or {}),
    )


def features_for(
    version: str, gates: Mapping[str, bool] | None = None
) -> allocator_features.AllocatorFeatures:
    """The allocator's switches of a Kubernetes version with these gates set; "" is the newest."""
    try:
        return allocator_features.features_of(version or allocator_features.NEWEST, gates=gates)
    except ValueError as error:
        problem = [("--kubernetes-version", str(error))]
        raise errors.ConfigError("the settings cannot be used", problem) from error
