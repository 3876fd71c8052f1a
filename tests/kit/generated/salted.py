"""Objects with a secret of its own wherever somebody may have put one, and what each was."""

from tests.kit.generated import salted_parts


class Salts:
    """`items` are API objects as JSON has them; `where` is secret → what holds it."""

    def __init__(self):
        self.where = {}
        self.items = list(_items(self._salt))

    def _salt(self, what):
        secret = f"s4lt{len(self.where):03}x"
        self.where[secret] = what
        return secret


def _items(salt):
    parts = salted_parts.Parts(salt)
    container, meta = parts.container, parts.meta

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta("pod1", "ns1", "pod"),
        "spec": {
            "nodeName": "n1",
            "containers": [container("main")],
            "initContainers": [container("init")],
            "ephemeralContainers": [container("eph")],
            "imagePullSecrets": [{"name": salt("pullsecret")}],
            "serviceAccountName": salt("sa"),
            "hostname": salt("hostname"),
            "subdomain": salt("subdomain"),
            "hostAliases": [{"ip": "1.1.1.1", "hostnames": [salt("hostalias")]}],
            "dnsConfig": {
                "searches": [salt("dns")],
                "options": [{"name": "a", "value": salt("dnsopt")}],
            },
            "securityContext": {
                "sysctls": [{"name": "a", "value": salt("sysctl")}],
                "seLinuxOptions": {"user": salt("selinux")},
            },
            "schedulerName": "default-scheduler",
            "runtimeClassName": salt("runtimeClassName"),
            "readinessGates": [{"conditionType": salt("gate")}],
            "volumes": [
                {
                    "name": "v",
                    "projected": {
                        "sources": [
                            {
                                "secret": {
                                    "name": salt("projected secret"),
                                    "items": [{"key": salt("projkey"), "path": salt("projpath")}],
                                }
                            },
                            {"serviceAccountToken": {"audience": salt("aud"), "path": "p"}},
                            {
                                "downwardAPI": {
                                    "items": [
                                        {
                                            "path": salt("dw"),
                                            "fieldRef": {"fieldPath": "metadata.name"},
                                        }
                                    ]
                                }
                            },
                        ]
                    },
                },
                {
                    "name": "v2",
                    "csi": {
                        "driver": "d",
                        "volumeAttributes": {"token": salt("csi attr")},
                        "nodePublishSecretRef": {"name": salt("csi secret")},
                    },
                },
                {
                    "name": "v3",
                    "flexVolume": {
                        "driver": "d",
                        "options": {"o": salt("flex")},
                        "secretRef": {"name": salt("flexsecret")},
                    },
                },
                {
                    "name": "v4",
                    "iscsi": {
                        "targetPortal": salt("iscsi"),
                        "iqn": "i",
                        "lun": 1,
                        "chapAuthSession": True,
                    },
                },
                {"name": "v5", "nfs": {"server": salt("nfs"), "path": salt("nfspath")}},
                {
                    "name": "v6",
                    "rbd": {"monitors": [salt("rbd")], "image": "i", "user": salt("rbduser")},
                },
                {
                    "name": "v7",
                    "azureFile": {"secretName": salt("azure"), "shareName": salt("share")},
                },
                {"name": "v8", "hostPath": {"path": salt("hostpath")}},
                {"name": "v9", "gitRepo": {"repository": salt("git")}},
                {"name": "v10", "persistentVolumeClaim": {"claimName": "pvcname"}},
                {
                    "name": "v11",
                    "ephemeral": {
                        "volumeClaimTemplate": {
                            "metadata": {"annotations": {"a": salt("vct ann")}},
                            "spec": {"storageClassName": salt("sc")},
                        }
                    },
                },
            ],
            "resourceClaims": [{"name": "rc", "resourceClaimName": "claim1"}],
            "overhead": {"cpu": "1"},
        },
        "status": {
            "phase": "Running",
            "message": salt("pod message"),
            "reason": salt("pod reason"),
            "podIP": salt("podip"),
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "True",
                    "message": salt("pod cond message"),
                    "reason": salt("pod cond reason"),
                }
            ],
            "containerStatuses": [
                {
                    "name": "c",
                    "image": salt("cs image"),
                    "imageID": salt("cs imageid"),
                    "containerID": salt("cid"),
                    "state": {"waiting": {"message": salt("cs waiting"), "reason": "r"}},
                    "lastState": {"terminated": {"message": salt("cs term"), "exitCode": 1}},
                }
            ],
            "resourceClaimStatuses": [{"name": "rc", "resourceClaimName": "claim1"}],
        },
    }
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta("n1", None, "node"),
        "spec": {
            "providerID": salt("providerID"),
            "podCIDR": salt("cidr"),
            "taints": [{"key": "k", "value": "tv", "effect": "NoSchedule"}],
        },
        "status": {
            "allocatable": {"cpu": "8", "nvidia.com/gpu": "8"},
            "capacity": {"cpu": "8"},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "message": salt("node cond msg"),
                    "reason": salt("node condition reason"),
                }
            ],
            "addresses": [{"type": "InternalIP", "address": salt("addr")}],
            "images": [{"names": [salt("node image")]}],
            "nodeInfo": {
                "machineID": salt("machineid"),
                "bootID": salt("boot"),
                "kernelVersion": salt("kernel"),
            },
            "volumesAttached": [{"name": salt("volatt"), "devicePath": salt("devpath")}],
            "config": {"error": salt("cfgerr")},
        },
    }
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": meta("claim1", "ns1", "claim"),
        "spec": {
            "devices": {
                "requests": [{"name": "r", "exactly": {"deviceClassName": "cls"}}],
                "config": [
                    {
                        "requests": ["r"],
                        "opaque": {
                            "driver": "gpu.nvidia.com",
                            "parameters": {
                                "apiVersion": "x/v1",
                                "kind": "C",
                                "token": salt("claim opaque"),
                            },
                        },
                    }
                ],
            }
        },
        "status": {
            "allocation": {
                "devices": {
                    "results": [
                        {
                            "request": "r",
                            "driver": "gpu.nvidia.com",
                            "pool": "n1",
                            "device": "gpu-0",
                        }
                    ],
                    "config": [
                        {
                            "source": "FromClaim",
                            "opaque": {
                                "driver": "gpu.nvidia.com",
                                "parameters": {"token": salt("alloc opaque")},
                            },
                        }
                    ],
                }
            },
            "devices": [
                {
                    "driver": "gpu.nvidia.com",
                    "pool": "n1",
                    "device": "gpu-0",
                    "data": {"token": salt("devices data")},
                    "conditions": [
                        {"type": "Ready", "status": "True", "message": salt("dev cond")}
                    ],
                    "networkData": {
                        "interfaceName": salt("ifname"),
                        "hardwareAddress": salt("hw"),
                        "ips": [salt("ips")],
                    },
                }
            ],
        },
    }
    cls = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": meta("cls", None, "class"),
        "spec": {
            "selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}],
            "config": [
                {
                    "opaque": {
                        "driver": "gpu.nvidia.com",
                        "parameters": {"token": salt("class opaque")},
                    }
                }
            ],
        },
    }
    tmpl = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": meta("tmpl", "ns1", "tmpl"),
        "spec": {
            "metadata": {"annotations": {"a": salt("tmpl inner ann")}, "labels": {"l": "lv"}},
            "spec": {
                "devices": {
                    "requests": [{"name": "r", "exactly": {"deviceClassName": "cls"}}],
                    "config": [
                        {"opaque": {"driver": "d", "parameters": {"t": salt("tmpl opaque")}}}
                    ],
                }
            },
        },
    }
    sl = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": meta("sl", None, "slice"),
        "spec": {
            "driver": "gpu.nvidia.com",
            "nodeName": "n1",
            "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1},
            "devices": [
                {
                    "name": "gpu-0",
                    "attributes": {
                        "type": {"string": "gpu"},
                        "uuid": {"string": salt("device attribute uuid")},
                        "serial": {"string": salt("device attribute serial")},
                        "x.example.com/token": {"string": salt("device attribute token")},
                    },
                    "taints": [{"key": "k", "value": "dv", "effect": "NoSchedule"}],
                }
            ],
        },
    }
    cm = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta("railyard-policy", "railyard", "cm"),
        "data": {"policy.yaml": "{}", "other": salt("cm other key")},
        "binaryData": {"b": salt("cm binary")},
    }
    sec = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta("sec", "ns1", "sec"),
        "data": {"p": salt("secret data")},
        "stringData": {"p": salt("secret stringdata")},
    }
    ev = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta("ev", "ns1", "ev"),
        "message": salt("event message"),
        "reason": salt("event reason"),
        "involvedObject": {"kind": "Pod", "name": "pod1"},
    }
    rule = {
        "apiVersion": "resource.k8s.io/v1beta2",
        "kind": "DeviceTaintRule",
        "metadata": meta("rule", None, "rule"),
        "spec": {
            "deviceSelector": {"driver": "gpu.nvidia.com"},
            "taint": {"key": "k", "value": "rv", "effect": "NoSchedule"},
        },
        "status": {"conditions": [{"type": "x", "status": "True", "message": salt("rule cond")}]},
    }
    yield from (node, pod, claim, cls, tmpl, sl, cm, sec, ev, rule)
