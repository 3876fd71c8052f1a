"""Run the command line: `railyard`, or `python -m extender`."""

import os
import signal
import sys


def main() -> int:
    """Run the command line; a signal ends it at once, without a trace, from the first moment.

    The first process of a container ignores a signal that it does not handle, so this comes before
    the imports, which take a second. An exception would be raised inside of them, where it may
    crash an extension module that is half initialised.
    """
    if sys.argv[1:2] == ["__complete"]:
        return _complete(sys.argv[2:])
    killed = 128  # a shell's status for what a signal ended, less the signal's number
    for number in (signal.SIGTERM, signal.SIGINT):
        status = 0 if "serve" in sys.argv[1:2] else killed + number
        signal.signal(number, lambda *_, status=status: os._exit(status))
    from extender import cli  # noqa: PLC0415 - see above

    return cli.main()


def plugin() -> int:
    """Run as `kubectl railyard`: the service in the cluster is asked, through the API server."""
    os.environ.setdefault("RAILYARD_URL", "k8s://railyard/railyard")
    return main()


def complete() -> int:
    """Run as `kubectl_complete-railyard`: what may come next after `kubectl railyard …`."""
    return _complete(sys.argv[1:])


def _complete(words: list[str]) -> int:
    """Without the commands: their imports take longer than somebody who pressed Tab waits."""
    from extender import completion  # noqa: PLC0415 - for shells only

    return completion.run(words)


if __name__ == "__main__":
    sys.exit(main())
