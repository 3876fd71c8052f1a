"""What a partition takes from those that could still come, one instance ahead.

The loss of an instance is the number of legal placements, (GPU, profile, start), that the instance
its driver will really make closes; to it comes the expected loss of the next instance. Measured
here only: the product counts placements as room (extender.decisions.counting), which ranks nodes as
the plain loss does, and looking ahead would cost it every profile's verdict on every profile's
outcome for each node that changed.
"""

import numpy as np

NOWHERE = 24.0  # placements: more than any one instance of an eight-slice GPU can cost (18)


def next_loss(now, then, weight):
    """Expected loss of the next instance per row, were this one put there; in placements.

    `now[r, k]`: placements lost by an instance of profile k on node r as it is; `then[r, k]`: the
    same after this placement on r; inf where k does not fit. The next instance goes where it
    costs least. `weight[k]` is how likely profile k comes next.
    """
    if not len(now):
        return np.zeros(0)
    cheapest = now.argmin(axis=0)
    columns = np.arange(now.shape[1])
    first = now[cheapest, columns]
    others = now.copy()
    others[cheapest, columns] = np.inf
    second = others.min(axis=0)
    elsewhere = np.where(np.arange(len(now))[:, None] == cheapest, second, first)
    best = np.minimum(elsewhere, then)
    return np.where(np.isfinite(best), best, NOWHERE) @ weight
