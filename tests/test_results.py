import json

from loadtests import results


def report(policy, seed, allocation, **settings):
    levels = {"95": allocation, "100": allocation, "130": allocation}
    row = {"benchmark": "packing", "trace": "default", "policy": policy, "seed": seed}
    row |= {"allocation": levels, "rejected": 1, "large_accepted": 50.0}
    return row | settings


def written(tmp_path, *found):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in found))
    results.main(["--out", str(tmp_path), "--to", str(tmp_path / "R.md")])
    return (tmp_path / "R.md").read_text()


def test_rows_that_stand_together_are_means_over_the_same_seeds(tmp_path):
    text = written(
        tmp_path,
        report("BestFit", 42, 90.0),
        report("BestFit", 43, 80.0),
        report("railyard", 42, 95.0),
    )
    assert "| default | BestFit | 90.00 | 90.00 | 90.00 | 1 | 50.0 | 42 |" in text
    assert "| default | Railyard's engine, default policy | 95.00 |" in text


def test_settings_that_differ_are_rows_of_their_own(tmp_path):
    text = written(
        tmp_path,
        report("prices", 42, 95.0),
        report("prices", 42, 93.0, intree="default", top=10, weight=10),
    )
    assert "| scarcity prices (fast model) | 95.00 |" in text
    assert "in-tree scores on, scores 0..10, weight 10 | 93.00 |" in text


def test_a_later_report_of_the_same_run_wins(tmp_path):
    text = written(tmp_path, report("BestFit", 42, 90.0), report("BestFit", 42, 91.0))
    assert "| 91.00 |" in text
    assert "90.00" not in text
