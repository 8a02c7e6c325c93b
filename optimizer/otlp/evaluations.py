"""Turns an evaluation of an answer, `gen_ai.evaluation.result`, into feedback on its call.

The GenAI conventions send it as a log event in the context of the span that is judged, or with the
answer's id; older libraries as an event of that span. A score counts from 0 to 1. Where an evaluator has
another scale, its emitter or a collector has to say which: without `llmopt.evaluation.min` and `.max` a
score outside 0..1 is dropped, as nobody can know what 4 is worth (and a 1 on a scale from 1 to 5 is
taken for the best: state the scale). A verdict in words counts as 1 or 0 if its word is known.
"""

from collections.abc import Mapping
from typing import Any, Final

from optimizer.model.call import Feedback
from optimizer.model.event import FeedbackEvent
from optimizer.otlp.fields import assignment_of, fields_of
from optimizer.otlp.reading import call_id_of, instant, short_hash, target_of
from optimizer.otlp.same_call import SameCalls

NAME: Final = "gen_ai.evaluation.result"
SOURCE: Final = "/otlp/evaluations"
"""Source of the events, followed by the evaluator's name: a second result of one source on a call is a repetition."""
GOOD = frozenset({"pass", "passed", "yes", "true", "correct", "good", "relevant", "safe"})
BAD = frozenset({"fail", "failed", "no", "false", "incorrect", "bad", "not_relevant", "irrelevant", "unsafe"})


def score_of(found: Mapping[str, Any]) -> float | str:
    """The score from 0 to 1, or the reason in words why there is none."""
    value = found.get("evaluation.score")
    if value is not None:
        least, most = found.get("evaluation.min", 0.0), found.get("evaluation.max", 1.0)
        if not least <= value <= most or least == most:
            return "evaluation: score off its scale"
        return float((value - least) / (most - least))
    if (label := found.get("evaluation.label")) is None:
        return "evaluation: failed" if "error_type" in found else "evaluation: no score"
    word = label.lower().replace(" ", "_")
    if word in GOOD:
        return 1.0
    return 0.0 if word in BAD else "evaluation: unknown label"


def event(
    message: Any, resource: Mapping[str, Any], *, span: bytes | None, calls: SameCalls
) -> FeedbackEvent | str:
    """The feedback in a log record or a span event, or the reason in words why there is none.

    It is about the call of its span, also where that was one of two spans of the call; without a span,
    about the remembered call with that answer; else it names the answer's id, which joins nothing. Its
    target is the one it names, else that of the remembered call, else its own service.
    """
    time_ns = message.time_unix_nano or getattr(message, "observed_time_unix_nano", 0)
    at = instant(time_ns)
    if at is None:
        return "impossible time"
    found = fields_of(message.attributes, [])
    answer = found.get("response_id")
    call = calls.found(span=span, answer=answer)
    call_id = call.call_id if call else call_id_of(span) if span else answer
    if call_id is None:
        return "evaluation: of no call"
    score = score_of(found)
    if isinstance(score, str):
        return score
    name = found.get("evaluation.name", "")
    return FeedbackEvent(
        specversion="1.0",
        id=short_hash(call_id, name, str(time_ns), repr(score)),
        source=f"{SOURCE}/{name}",
        time=at,
        subject=target_of(found.get("target") or (call.target if call else None), resource),
        data=Feedback(call_id=call_id, kind="judge", score=score, assignment=assignment_of(found, [])),
    )
