"""Run the command line: `python -m extender`."""

import sys

from extender import cli

sys.exit(cli.main())
