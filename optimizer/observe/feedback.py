"""The score of feedback on an answer, from 0 to 1, by the target's declared table."""

from math import isfinite

from optimizer.model.call import Feedback
from optimizer.model.target import Scores

UP, DOWN = "up", "down"


def unfit(said: Feedback) -> str | None:
    """The reason why no declaration could turn this feedback into a score, naming the field; None if one can."""
    if said.score is not None:
        return None
    kind, value = said.kind, said.value
    must = None
    match kind:
        case "judge" | "task":
            return (
                f"`data.score` must be given for kind {kind}, which no declaration gives a worth; found none"
            )
        case "thumbs" if value not in (UP, DOWN) and not _is_number(value):
            must = f"must be {UP!r}, {DOWN!r} or a number for kind thumbs"
        case "rating" if not _is_number(value):
            must = "must be a number for kind rating"
        case "edit" if value is not None and not (_is_number(value) and 0 <= float(value) <= 1):
            must = "must be the share that was edited, from 0 to 1, or nothing for kind edit"
    return None if must is None else f"`data.value` {must}, found {value!r}; or give `data.score`"


def score_of(said: Feedback, scores: Scores) -> float:
    """The score, 0 … 1, of feedback that `unfit` has passed."""
    if said.score is not None:
        return said.score
    match said.kind:
        case "thumbs":
            is_up = said.value == UP if said.value in (UP, DOWN) else float(said.value or 0) > 0
            return scores.thumbs_up if is_up else scores.thumbs_down
        case "rating":
            return _rated(float(said.value or 0), scores.rating_min, scores.rating_max)
        case "edit":
            return scores.edit if said.value is None else 1 - float(said.value) * (1 - scores.edit)
        case "retry":
            return scores.retry
        case _:
            return scores.abandon


def _rated(value: float, least: float, most: float) -> float:
    """The position of `value` between `least` (0) and `most` (1), whichever of the two is the larger number."""
    if least == most:
        return float(value >= most)
    return min(1.0, max(0.0, (value - least) / (most - least)))


def _is_number(value: float | str | None) -> bool:
    """True if the value is a finite number, or the text of one."""
    try:
        return value is not None and isfinite(float(value))
    except ValueError:
        return False
