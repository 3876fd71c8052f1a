"""CEL as Kubernetes has it in device selectors: parsed, type-checked and evaluated within limits.

The semantics are those of cel-go with the libraries of the Kubernetes API server, so that an
expression compiles here exactly where it compiles there, and fails where it fails there. What is
not implemented, or costs too much, is said so (`meter.UnansweredError`); it is never guessed.
"""
