"""The API server's version, which tells what kube-scheduler can allocate, asked for until known."""

from __future__ import annotations

import asyncio
import logging
import random

from extender import errors
from extender.kube import client
from extender.kube.watch import backoff, informers

_LOG = logging.getLogger(__name__)


class ServerVersion:
    """`wanted` is why the version is not there yet, empty once there is nothing to wait for.

    `unknown` is why it will not come, `refused` the words of a server that turned us away.
    """

    def __init__(self, api: client.Client, *, given: str) -> None:
        self._api = api
        self.wanted = "" if given else "is asked for"
        self.unknown = ""
        self.refused = ""

    async def ask(self) -> str:
        """The version, empty where the server does not tell it."""
        waits = backoff.Backoff(rng=random.Random())  # noqa: S311 - a pause
        now = asyncio.get_running_loop().time
        began = now()
        while True:
            try:
                return await self._api.version()
            except errors.ForbiddenError as error:
                self.unknown = str(error)
                return ""
            except errors.ApiError as error:
                if self._give_up(error, waited=now() - began):
                    return ""
            await asyncio.sleep(waits.next())

    def _give_up(self, error: errors.ApiError, *, waited: float) -> bool:
        """Note why there was no answer; whether to go on without one.

        A server that is up and cannot say its version may still list everything else.
        """
        said = str(error)
        if said != self.wanted:
            _LOG.warning("the API server %s: %s; trying again", self._api.server.url, said)
        away = isinstance(error, errors.UnreachableError | errors.TooManyRequestsError)
        self.wanted = said
        self.refused = said if isinstance(error, errors.REFUSALS) else ""
        if away or self.refused or waited <= informers.PATIENCE_SECONDS:
            return False
        self.unknown = said
        return True
