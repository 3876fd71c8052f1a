"""Which pods belong together: the group that a pod names, in any of the ways in use.

Sources: core/v1 PodSpec.schedulingGroup (1.36) and workloadRef (1.35); the labels and annotations
of coscheduling, Volcano, KAI Scheduler, Kueue, Grove, LeaderWorkerSet, JobSet and Kubeflow.
"""

from __future__ import annotations

from extender.kube.api import objects

# The first that is set counts; the narrower grouping stands before the wider one.
LABELS = (
    "scheduling.x-k8s.io/pod-group",
    "pod-group.scheduling.sigs.k8s.io",  # coscheduling before 0.23, and Koordinator
    "leaderworkerset.sigs.k8s.io/group-key",
    "grove.io/podgang",
    "kueue.x-k8s.io/pod-group-name",
    "volcano.sh/job-name",
    "training.kubeflow.org/job-name",
    "jobset.sigs.k8s.io/jobset-name",
)
ANNOTATIONS = (
    "scheduling.k8s.io/group-name",  # Volcano, whoever made its PodGroup
    "scheduling.volcano.sh/group-name",
    "pod-group-name",  # KAI Scheduler
    "kueue.x-k8s.io/workload",  # Kueue, on pods of jobs with a topology request
)

_MOST_NAME = 253  # characters of a name of an object; an annotation may be 256 KiB long


def of_pod(pod: objects.Pod) -> str:
    """The group's name within the cluster, "" for a pod on its own."""
    namespace = pod.metadata.namespace or "default"
    spec = pod.spec
    if spec.scheduling_group is not None and spec.scheduling_group.pod_group_name:
        return f"{namespace}/{spec.scheduling_group.pod_group_name}"
    if spec.workload_ref is not None and spec.workload_ref.name:
        reference = spec.workload_ref
        parts = (reference.name, reference.pod_group, reference.pod_group_replica_key)
        return "/".join((namespace, *filter(None, parts)))
    labels, annotations = pod.metadata.labels or {}, pod.metadata.annotations or {}
    for found, names in ((labels, LABELS), (annotations, ANNOTATIONS)):
        for name in names:
            if 0 < len(found.get(name, "")) <= _MOST_NAME:
                return f"{namespace}/{found[name]}"
    return ""
