"""The functions of the CEL environment of Kubernetes, one module a library."""
