"""Objects with a secret of its own wherever somebody may have put one, and what each was."""

import json
import pathlib
import re

import yaml

OBJECTS = pathlib.Path(__file__).with_suffix(".yaml")
_MARK = re.compile(r"\(secret: ([^)]*)\)")


class Salts:
    """`items` are API objects as JSON has them; `where` is secret → what holds it."""

    def __init__(self):
        self.where = {}
        marked = json.dumps(yaml.safe_load(OBJECTS.read_text()))
        self.items = json.loads(_MARK.sub(self._secret, marked))

    def _secret(self, mark):
        secret = f"s4lt{len(self.where):03}x"
        self.where[secret] = mark[1]
        return secret
