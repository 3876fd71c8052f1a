"""How many connections there are file descriptors for."""

from __future__ import annotations

import logging
import pathlib
import resource

_LOG = logging.getLogger(__name__)
# Left for what is no client: watches of the API server (one a kind), files that are read again,
# the sockets of an exec plugin.
_OURS = 40
_LEAST = 4  # connections of a port, however few descriptors there are
_SHARE = 4  # one in so many is for the admin port
_IN_USE = pathlib.Path("/proc/self/fd")


def shared(calls: int, admin: int) -> tuple[int, int]:
    """The connections that the two ports may hold, at most as many as wanted.

    Raises the soft limit of descriptors where that helps and the hard one allows it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(_IN_USE.iterdir())) if _IN_USE.is_dir() else 0
    wanted = calls + admin + used + _OURS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if most > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        if soft < wanted:
            return _lowered(calls, admin, soft - used - _OURS)
    return calls, admin


def _lowered(calls: int, admin: int, left: int) -> tuple[int, int]:
    few = max(_LEAST, min(admin, left // _SHARE))
    most = max(_LEAST, min(calls, left - few))
    _LOG.warning("descriptors are scarce: %d connections of calls, %d of questions", most, few)
    return most, few
