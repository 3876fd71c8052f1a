import io
import json
import logging
import sys

import pytest

from extender.service.process import logs


@pytest.fixture
def line():
    """Format one record as the service would; returns the text."""

    def formatted(message, *arguments, level=logging.WARNING, exc_info=None):
        record = logging.LogRecord("railyard.x", level, "f", 1, message, arguments, exc_info)
        return logs.JsonFormatter().format(record)

    return formatted


def test_a_line_is_one_json_object(line):
    found = json.loads(line("claim %s", "a/b"))

    assert (found["level"], found["logger"], found["message"]) == (
        "warning",
        "railyard.x",
        "claim a/b",
    )
    assert found["time"].endswith("+00:00")


def test_user_text_forges_neither_a_line_nor_a_field(line):
    text = line("%s", 'x"}\n{"level":"critical"')

    assert "\n" not in text
    assert json.loads(text)["level"] == "warning"


def test_a_fault_brings_its_traceback(line):
    try:
        int("broken")
    except ValueError:
        text = line("failed", exc_info=sys.exc_info())

    assert "ValueError: invalid literal" in json.loads(text)["traceback"]


def test_a_message_has_an_end(line):
    assert len(json.loads(line("x" * 100_000))["message"]) == 4096


def test_text_that_is_no_unicode_is_logged_all_the_same(line):
    assert json.loads(line("\udcff"))["message"] == "?"


def test_levels_below_the_one_asked_for_are_left_out(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.set_up("warning")
        logging.getLogger("x").info("quiet")
        logging.getLogger("x").error("loud")
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])

    assert [json.loads(text)["message"] for text in said.getvalue().splitlines()] == ["loud"]
