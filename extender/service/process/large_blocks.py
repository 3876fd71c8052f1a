"""Large blocks of memory: bodies and answers of megabytes, which come and go."""

from __future__ import annotations

import ctypes

# glibc's malloc.h. Without a threshold of ours it raises its own up to 32 MiB once such blocks were
# freed, and from then on carves them out of the heap, which so never shrinks.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# An ordinary call, 0.2 MB for 5,000 names, is below it: to map pages anew for each takes time.
_BYTES = 1 << 20


def give_back() -> None:
    """Let blocks of a megabyte and more go back to the system when they are freed.

    Does nothing where the C library has no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BYTES)
        mallopt(_TRIM_THRESHOLD, 2 * _BYTES)
