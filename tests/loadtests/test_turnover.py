from loadtests.quality import turnover


def test_the_same_seed_gives_the_same_figures():
    asked = {"count": 3, "load": 0.9, "arrivals": 40, "distance": 10.0}

    first, again = (turnover.run("h100", seed=1, **asked) for _ in range(2))

    assert first == again
    assert 0 < first["accepted"] <= 100
    assert 0 < first["rate"] <= first["best"] <= 1
