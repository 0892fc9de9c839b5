"""The best any pacer can do when nothing remembers: the exact optimum of a Markov decision process.

Lines end after an exponential time, a person answers each with the same chance, conversations
(with wrap-up) are exponential, and a person who finds no operator is abandoned at once. The state
is (busy operators, open lines); in each state lines may be opened. The greatest share of busy
operators under a limit on the abandoned share is a linear programme over the long-run time spent in
each state and the rate at which lines are opened there (A. S. Manne, "Linear programming and
sequential decisions", 1960; E. Altman, "Constrained Markov decision processes", 1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from zanc_pipeline.common.errors import ZancError


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """``occupancy`` is the share of busy operators, ``lines`` the mean number of open lines.

    ``time`` holds the long-run share of time in (busy operators, open lines).
    """

    occupancy: float
    lines: float
    time: NDArray[np.float64]


def memoryless(
    *,
    operators: int,
    answer: float,
    ring: float = 15.0,
    handling: float = 180.0,
    max_abandon: float = 0.03,
) -> Optimum:
    """The optimum for mean times in seconds. Takes a second for 25 operators, a minute for 100."""
    # Busy operators seldom fall far below their mean; states out of reach are left out.
    lowest = max(0, math.floor(operators * 0.8 - 4 * math.sqrt(operators)))
    mean_lines = operators / handling * ring / answer
    most = math.ceil(mean_lines + 8 * math.sqrt(mean_lines) + 6 / answer)
    rows, width = operators - lowest + 1, most + 1
    busy = np.repeat(np.arange(lowest, operators + 1), width)
    lines = np.tile(np.arange(width), rows)
    state = np.arange(rows * width)
    size = len(state)
    entries: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []

    def flow(column: NDArray[np.intp], to: NDArray[np.intp], rate: NDArray[np.float64]) -> None:
        entries.append((column % size, column, -rate))
        entries.append((to, column, rate))

    ends = lines / ring
    open_ = lines > 0
    flow(state[open_], state[open_] - 1, (ends * (1 - answer))[open_])
    connects = open_ & (busy < operators)
    flow(state[connects], state[connects] + width - 1, (ends * answer)[connects])
    lost = open_ & (busy == operators)
    flow(state[lost], state[lost] - 1, (ends * answer)[lost])
    frees = busy > lowest
    flow(state[frees], state[frees] - width, (busy / handling)[frees])
    more = lines < most
    flow(size + state[more], state[more] + 1, np.ones(int(more.sum())))
    row, column, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    balance = coo_array((value, (row, column)), shape=(size, 2 * size))
    total = coo_array((np.ones(size), (np.zeros(size, dtype=int), state)), shape=(1, 2 * size))
    excess = np.concatenate([ends * answer * ((busy == operators) - max_abandon), np.zeros(size)])
    bounds = [(0, None)] * size + [(0, None) if can else (0, 0) for can in more]
    from scipy.sparse import vstack

    found = linprog(
        np.concatenate([-busy / operators, np.zeros(size)]),
        A_ub=excess[None, :],
        b_ub=[0.0],
        A_eq=vstack([balance, total]).tocsr(),
        b_eq=np.concatenate([np.zeros(size), [1.0]]),
        bounds=bounds,
        method="highs",
    )
    if found.status != 0:
        raise ZancError(f"the optimum of {operators} operators was not found: {found.message}")
    time = found.x[:size]
    return Optimum(
        occupancy=-float(found.fun),
        lines=float(time @ lines),
        time=time.reshape(rows, width),
    )
