"""Railyard: a kube-scheduler extender for clusters with GPUs and fast NICs."""

__version__ = "0.1.0"
