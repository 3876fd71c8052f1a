"""MIG geometry of an A100/H100 80 GB as tables over the 256 masks of taken memory slices.

Legal starts: NVIDIA's MIG user guide, as `nvidia-smi mig -lgipp` lists them. That seven compute
slices are enough is implied by these placements.
"""

import numpy as np

SLICES = 8
PROFILES = (  # name, memory slices, legal starts
    ("1g.10gb", 1, (0, 1, 2, 3, 4, 5, 6)),
    ("1g.20gb", 2, (0, 2, 4, 6)),
    ("2g.20gb", 2, (0, 2, 4)),
    ("3g.40gb", 4, (0, 4)),
    ("4g.40gb", 4, (0,)),
    ("7g.80gb", 8, (0,)),
)
SIZES = np.array([size for _, size, _ in PROFILES])
MASKS = 1 << SLICES
NONE = -1


def window(size, start):
    return ((1 << size) - 1) << start


def legal():
    """`[mask, profile, start]`: may the instance be made there?"""
    table = np.zeros((MASKS, len(PROFILES), SLICES), dtype=bool)
    for number, (_, size, starts) in enumerate(PROFILES):
        for start in starts:
            for mask in range(MASKS):
                table[mask, number, start] = not mask & window(size, start)
    return table


LEGAL = legal()
OPEN = LEGAL.sum(axis=(1, 2))  # mask → legal placements of all profiles
FIRST = np.where(LEGAL.any(axis=2), LEGAL.argmax(axis=2), NONE)
LAST = np.where(LEGAL.any(axis=2), SLICES - 1 - LEGAL[:, :, ::-1].argmax(axis=2), NONE)
FREE = np.array([SLICES - mask.bit_count() for mask in range(MASKS)])


def after_first():
    """`[mask, profile]`: the mask after a first-fit instance; the same mask where none fits."""
    table = np.repeat(np.arange(MASKS)[:, None], len(PROFILES), axis=1)
    for mask in range(MASKS):
        for number, (_, size, _) in enumerate(PROFILES):
            if FIRST[mask, number] != NONE:
                table[mask, number] |= window(size, int(FIRST[mask, number]))
    return table


AFTER = after_first()
LOSS = np.where(FIRST == NONE, np.inf, (OPEN[:, None] - OPEN[AFTER]).astype(float))


def fits_repacked(counts, gpus):
    """Whether these instances fit on so many GPUs if all may move; counts in profile order.

    A GPU is four pairs of slices: 0 and 2 (the low half), 4 and 6. The last pair holds a 1g.20gb
    or one 1g.10gb, but no 2g.20gb. So 3g takes high halves first, 1g.20gb last pairs first.
    """
    small, wide, two, three, four, seven = (int(count) for count in counts)
    gpus -= seven
    if gpus < 0:
        return False
    high = min(three, gpus)
    low = four + three - high
    if low > gpus:
        return False
    pairs, last = 2 * (gpus - low) + (gpus - high), gpus - high
    pairs -= two
    placed = min(wide, last)
    pairs -= wide - placed
    return pairs >= 0 and small <= 2 * pairs + last - placed
