"""What the tests of cli share."""

import yaml


def manifest(builder):
    served = "v1" if builder.kind in {"Node", "Pod"} else "resource.k8s.io/v1"
    return {"apiVersion": served, "kind": builder.kind} | builder.body


def write(path, *builders):
    path.write_text(yaml.safe_dump_all(map(manifest, builders)))
    return str(path)
