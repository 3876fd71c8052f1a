import json

from loadtests.report import suite


def test_no_command_is_listed_twice_and_each_has_a_file():
    found = list(suite.commands())
    commands = [command for _, command in found]
    assert len(commands) == len(set(commands))
    assert {name for name, _ in found} >= {"published", "baselines", "fast", "engine"}


def test_a_command_with_a_report_is_not_made_again(tmp_path, capsys):
    _, first = next(suite.commands())
    (tmp_path / "published.jsonl").write_text(json.dumps({"command": first}) + "\n")
    assert suite.main(["--list", "--out", str(tmp_path)]) == 0
    assert first not in capsys.readouterr().out.splitlines()


def test_a_run_leaves_its_report_with_the_command_beside_it(tmp_path, capsys):
    only = "^packing --pods multigpu50 --seed 42 --policy BestFit$"
    assert suite.main(["--only", only, "--out", str(tmp_path)]) == 0
    (line,) = suite.lines(tmp_path)
    assert line["benchmark"] == "packing"
    assert only == f"^{line['command']}$"
    assert "1/1" in capsys.readouterr().err


def test_a_run_that_fails_is_reported_and_not_kept(tmp_path, capsys):
    reported = suite.make(tmp_path, "x", "packing --pods no-such-list")
    assert reported.startswith("no report")
    assert not list(tmp_path.iterdir())


def test_what_is_made_again_stands_beside_what_was_there_and_is_no_line_of_its_own(tmp_path):
    command = "packing --pods multigpu50 --seed 42 --policy BestFit"
    there = {"command": command, "allocation": {"130": 90.0}}
    (tmp_path / "baselines.jsonl").write_text(json.dumps(there) + "\n")
    options = ["--only", f"^{command}$", "--out", str(tmp_path)]

    assert suite.main(["--again", *options]) == 0

    (line,) = (json.loads(row) for row in (tmp_path / "again.jsonl").read_text().splitlines())
    assert (line["benchmark"], line["before"]) == ("again", {"130": 90.0})
    assert suite.made(tmp_path) == {command}
