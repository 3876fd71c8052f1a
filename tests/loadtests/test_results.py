import json

from loadtests.report import results


def report(policy, seed, allocation, **settings):
    levels = {"95": allocation, "100": allocation, "130": allocation}
    row = {"benchmark": "packing", "trace": "default", "policy": policy, "seed": seed}
    row |= {"allocation": levels, "rejected": 1, "large_accepted": 50.0}
    return row | settings


def written(tmp_path, *found):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in found))
    results.main(["--out", str(tmp_path), "--to", str(tmp_path / "R.md")])
    return (tmp_path / "R.md").read_text()


def test_a_row_is_compared_with_the_yardstick_over_the_seeds_that_both_have(tmp_path):
    text = written(
        tmp_path,
        report("FGD+BestFit", 42, 90.0),
        report("FGD+BestFit", 43, 80.0),
        report("railyard", 42, 91.0),
        report("railyard", 43, 83.0),
        report("railyard", 45, 95.0),
    )
    assert "| default | FGD+BestFit | 85.00 | 85.00 | 85.00 | 1 | 50.0 | – | 42–43 |" in text
    assert "| 2.00 ± 1.00 | 42–43, 45 |" in text


def test_a_setting_that_the_yardstick_was_not_run_in_has_no_difference(tmp_path):
    text = written(
        tmp_path,
        report("FGD+BestFit", 42, 90.0),
        report("railyard", 42, 91.0, intree="default", top=10, weight=10),
    )
    assert "weight 10 | 91.00 | 91.00 | 91.00 | 1 | 50.0 | – | 42 |" in text


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


def near(weight, seed, chosen, allocation):
    factors = {"chosen": chosen, "random": 0.7, "oracle": 1.0, "of_oracle": chosen, "pods": 9}
    return {
        "benchmark": "locality",
        "nodes": 80,
        "locality_weight": weight,
        "seed": seed,
        "bandwidth": {"all": factors, "1+1": factors},
        "allocation_at_100": allocation,
        "allocation": 100.0,
        "filled_rate": chosen,
    }


def test_what_nearness_costs_is_counted_on_seeds_that_have_both(tmp_path):
    text = written(tmp_path, near(0.0, 1, 0.5, 99.0), near(10.0, 1, 0.99, 98.5),
        near(10.0, 2, 0.97, 90.0))  # fmt: skip
    row = next(line for line in text.splitlines() if line.startswith("| 80 | 10.0 |"))
    assert "| 0.980 | 0.700 | 1.000 | 0.980 | 0.980 | – | – | 0.500 | 0.000 |" in row


def test_gangs_are_grouped_by_policy_and_weight(tmp_path):
    base = {"benchmark": "gang", "nodes": 32, "jobs": 800, "load": 1.0, "seed": 0}
    base |= {"split_needlessly": 0.0, "split_racks": 2.0, "slow_down": 1.1, "jct_hours": 5.0}
    base |= {"queue_hours": 0.5}
    text = written(
        tmp_path,
        base | {"policy": "railyard", "proximity_weight": None, "split_nodes": 12.0},
        base | {"policy": "railyard", "proximity_weight": 3.0, "split_nodes": 21.0},
    )
    assert "| railyard | 12.00 | 0.00 | 2.00 | 1.10 | 5.00 | 0.50 | 0 |" in text
    assert "| railyard, weight 3 | 21.00 |" in text


def test_the_real_scheduler_stands_beside_what_the_simulator_says(tmp_path):
    levels = {"95": 94.0, "100": 95.0, "130": 95.5}
    base = {"benchmark": "realtrace", "trace": "default", "mode": "plugin", "nodes": 100}
    base |= {"percentage": 100, "seed": 42, "pods": 700, "rejected": 80, "seconds": 61.2}
    base |= {"large_accepted": 25.0}
    said = {"none": {"allocation": {"130": 91.0}}, "railyard": {"allocation": levels}}
    text = written(
        tmp_path,
        base | {"extender": "none", "allocation": {"95": 90.0}},
        base | {"extender": "railyard", "allocation": levels, "simulated": said},
    )
    assert "| none | 90.00 | – | – | – | – | 91.00 | 700 | 80 | 25.0 | 61 | 42 |" in text
    assert "| railyard | 94.00 | 95.00 | 95.50 | 94.00 | 95.00 | 95.50 | 700 |" in text


def test_cold_starts_show_their_range(tmp_path):
    runs = [
        {"cpu_seconds": cpu, "start_cpu_seconds": 1.0, "seconds": 9.0, "peak_mb": 300.0}
        for cpu in (5.5, 6.25)
    ]
    row = {"benchmark": "coldstart", "nodes": 5000, "served": "WatchList", "started": "it"}
    text = written(tmp_path, row | {"runs": runs})
    assert "| 5000 | 48 | WatchList | it | 5.5 to 6.2 | 1.0 to 1.0 | – | 9.0 to 9.0 |" in text


def test_events_show_each_step(tmp_path):
    steps = {"decode": 30.2, "apply": 20.0, "settle": 40.0, "decide": 5.0}
    row = {"benchmark": "events", "kind": "plugin", "nodes": 1000, "per_node": 8, "all": 95.2}
    text = written(tmp_path, row | {"microseconds_per_pod": steps})
    assert "| plugin | 1000 | 8 | 30 | 20 | 40 | 5 | 95 |" in text


def test_a_run_made_again_is_reported_with_its_distance_from_the_first(tmp_path):
    row = report("railyard", 42, 95.0) | {"benchmark": "again", "before": {"130": 94.75}}
    others = [
        row | {"trace": "cpu250", "before": {"130": 95.25}},
        row | {"seed": 43, "before": {"130": 95.0}},
    ]
    text = written(tmp_path, row, *others)

    assert "| default | 95.00 | 95.00 | 95.00 | 0.25 | 42 |" in text
    assert "| 42 | 2 | 0.000 ± 0.250 |" in text
    assert "| 43 | 1 | 0.000 |" in text
    assert "Over all it is 0.000 ± 0.144." in text


def throughput(version="1.36.3", **loads):
    report = {"benchmark": "throughput", "date": "2026-11", "kubernetes": version, "nodes": 1000}
    reported = {name: {"pods": 500, "rounds": rounds} for name, rounds in loads.items()}
    return report | {"cores": 2, "loads": reported}


def one_round(batched=0.0, **rates):
    return {leg: {"pods_per_second": rate, "batched": batched} for leg, rate in rates.items()}


def test_throughput_is_reported_as_ratios_to_the_echo_of_the_same_round(tmp_path):
    first = one_round(0.99, default=20, batching=40, unbatched=18, echo=10, railyard=9)
    second = one_round(0.97, default=40, batching=120, unbatched=38, echo=20, railyard=20)

    text = written(
        tmp_path,
        throughput(**{"plugin-node": [first]}),
        throughput(**{"plugin-node": [second]}),
        throughput(claims=[]),
    )

    words = "| 1.36.3 | 1000 | 8 GPUs of a device plug-in, a whole node | 500 |"
    assert f"{words} 2.00 | 5.00 | 1.85 | 0.95 | 0.90 to 1.00 | 98 % | 2 |" in text
    assert "1 GPU + the NIC" not in text
