"""`&&` and `||`, over the terms that are written or over the rounds of a loop.

Source: cel-go interpreter/interpretable.go (evalAnd, evalOr), and the folds that macros make of
`all` and `exists`, which end at the first value that decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from extender.demand.cel.runtime.evaluation import Evaluation
from extender.demand.cel.runtime.lookups import Evaluate
from extender.demand.cel.runtime.meter import EvaluationError, no_such_overload


def decided(run: Evaluation, terms: Iterable[Evaluate], *, decisive: bool) -> bool:
    """`decisive` if a term is (False decides `&&`, True `||`), else the opposite.

    A term that fails, or is no bool, counts only if no other decides: then the first one is raised.
    """
    problem, default = None, not decisive
    for term in terms:
        try:
            value = term(run)
        except EvaluationError as error:
            problem = problem or error
            continue
        if value is decisive:
            return not default
        if type(value) is not bool:
            problem = problem or no_such_overload(value)
    if problem is not None:
        raise problem
    return default
