"""What the tests of starting share."""

import asyncio
import pathlib
import re

import aiohttp


class Process:
    """A `railyard` process, what it says on standard error, and where it listens."""

    def __init__(self, process):
        self.process = process
        self.said = ""
        self._reading = asyncio.create_task(self._read())
        self.verbs = self.questions = ""

    async def _read(self):
        while line := await self.process.stderr.readline():
            self.said += line.decode()

    async def listening(self):
        async with asyncio.timeout(60):
            while not (found := re.search(r"verbs on (\S+), questions on (\S+?)\"", self.said)):
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.02)
        self.verbs, self.questions = (f"http://{each}" for each in found.groups())
        return self

    async def saying(self, words):
        async with asyncio.timeout(60):
            while words not in self.said:
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.02)

    async def get(self, path):
        async with aiohttp.ClientSession() as session, session.get(self.questions + path) as answer:
            return answer.status, await answer.json()

    async def filter(self, pod):
        body = {"Pod": pod, "NodeNames": ["a"]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.verbs + "/filter", json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def ready(self):
        async with asyncio.timeout(60):
            while (await self.get("/readyz"))[0] != 200:  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.05)

    async def handling(self, number):
        """Until the process handles the signal: before, the interpreter is still starting."""
        bit = 1 << (number - 1)
        async with asyncio.timeout(60):
            while not self._caught() & bit:  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.02)

    def _caught(self):
        """The signals that the process handles, as bits."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)

    def signal(self, number):
        self.process.send_signal(number)

    async def ended(self, seconds=60):
        async with asyncio.timeout(seconds):
            status = await self.process.wait()
            await self._reading
        return status

    @property
    def sentences(self):
        """What it says that is not a log line."""
        return [line for line in self.said.splitlines() if not line.startswith("{")]
