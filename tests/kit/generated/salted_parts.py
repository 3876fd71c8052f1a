"""Parts of objects with a secret in each field: containers and metadata."""

import json


class Parts:
    """`salt` makes a secret for what it is given."""

    def __init__(self, salt):
        self.salt = salt
        self.annotations = {
            "kubectl.kubernetes.io/last-applied-configuration": json.dumps(
                {"data": salt("last-applied")}
            ),
            salt("ann name"): salt("ann value"),
            "scheduling.k8s.io/group-name": "grp",
        }

    def container(self, k):
        salt = self.salt
        return {
            "name": "c",
            "image": salt(k + " image"),
            "command": [salt(k + " command")],
            "args": [salt(k + " args")],
            "workingDir": salt(k + " wd"),
            "env": [
                {"name": salt(k + " envname"), "value": salt(k + " env")},
                {
                    "name": "E",
                    "valueFrom": {
                        "secretKeyRef": {"name": salt(k + " skr"), "key": salt(k + " skrkey")}
                    },
                },
            ],
            "envFrom": [
                {"prefix": salt(k + " prefix"), "secretRef": {"name": salt(k + " envFrom secret")}},
                {"configMapRef": {"name": salt(k + " envFrom cm")}},
            ],
            "livenessProbe": {"exec": {"command": [salt(k + " probe exec")]}},
            "readinessProbe": {
                "httpGet": {
                    "path": salt(k + " probe path"),
                    "port": 80,
                    "httpHeaders": [{"name": "Authorization", "value": salt(k + " header")}],
                }
            },
            "startupProbe": {"grpc": {"port": 1, "service": salt(k + " grpc")}},
            "lifecycle": {
                "postStart": {"exec": {"command": [salt(k + " postStart")]}},
                "preStop": {
                    "httpGet": {
                        "host": salt(k + " host"),
                        "port": 1,
                        "httpHeaders": [{"name": "x", "value": salt(k + " prestop header")}],
                    }
                },
            },
            "volumeMounts": [
                {
                    "name": "v",
                    "mountPath": salt(k + " mountPath"),
                    "subPathExpr": salt(k + " subpath"),
                }
            ],
            "ports": [
                {
                    "containerPort": 80,
                    "hostPort": 8080,
                    "name": salt(k + " portname"),
                    "hostIP": salt(k + " hostip"),
                }
            ],
            "terminationMessagePath": salt(k + " tmp"),
            "securityContext": {
                "seLinuxOptions": {"level": salt(k + " selinux")},
                "seccompProfile": {"type": "Localhost", "localhostProfile": salt(k + " seccomp")},
            },
            "resources": {
                "requests": {"cpu": "1", "nvidia.com/gpu": "1"},
                "limits": {"cpu": "1", "nvidia.com/gpu": "1"},
            },
        }

    def meta(self, name, ns=None, k=""):
        salt = self.salt
        m = {
            "name": name,
            "uid": name + "-uid",
            "annotations": dict(self.annotations) | {"x/" + salt(k + "annkey"): salt(k + "annval")},
            "labels": {"app": "lbl"},
            "managedFields": [{"manager": salt(k + " mf"), "fieldsV1": {salt(k + " mf2"): {}}}],
            "generateName": salt(k + " generateName"),
            "finalizers": [salt(k + " finalizer")],
            "selfLink": salt(k + " selflink"),
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": "own",
                    "uid": "ownuid",
                    "controller": True,
                }
            ],
        }
        if ns:
            m["namespace"] = ns
        return m
