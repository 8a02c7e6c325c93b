"""A hand that makes panes and lets time pass over Orient."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from optimizer.model.event import PaneEvent, TargetEvent
from optimizer.model.pane import Cell, Pane
from optimizer.model.target import Model, Segments, Target
from optimizer.model.variant import variant_of
from optimizer.orient.stage import Orient
from optimizer.stats.histogram import Histogram

PANE_MS = 10_000
CHEAP, DEAR = Model(name="claude-instant-v1", provider="a"), Model(name="gpt-4", provider="o")
MATH = "grade-school-math"


class Hand:
    """Makes declarations, cells and panes; `second` counts from the epoch."""

    cheap, dear, math = variant_of(CHEAP).variant_id, variant_of(DEAR).variant_id, MATH

    @staticmethod
    def target(**changed):
        declared = {
            "target": "answers",
            "incumbent": "gpt-4",
            "models": (CHEAP, DEAR),
            "segments": Segments(attribute="task", values=(MATH, "law")),
        }
        return Target(**(declared | changed))

    @staticmethod
    def cell(calls=0, *, arm="incumbent", variant=None, segment=MATH, generation=1, **told):
        """`told`: ms, usd, scores, first_ms, tokens (a list, or one value for every call), errors by class."""
        errors = told.get("errors", {})
        ms, usd, scores = (told.get(key, []) for key in ("ms", "usd", "scores"))
        ms = ms if isinstance(ms, list) else [ms] * (calls - sum(errors.values()))
        usd = usd if isinstance(usd, list) else [usd] * calls
        scores = scores if isinstance(scores, list) else [scores] * calls
        first, tokens = (np.array(told.get(key, []), dtype=np.float64) for key in ("first_ms", "tokens"))
        nano, millionths = [round(x * 1e9) for x in usd], [round(x * 1e6) for x in scores]
        return Cell(
            generation=generation,
            variant_id=variant or (Hand.cheap if arm == "candidate" else Hand.dear),
            arm=arm,
            segment=segment,
            calls=calls,
            errors=errors,
            latency_us=Histogram.of(np.array([round(x * 1000) for x in ms], dtype=np.int64)).counts,
            first_token_us=Histogram.of((first * 1000).astype(np.int64)).counts,
            output_lengths=Histogram.of(tokens.astype(np.int64)).counts,
            costed=len(usd),
            cost_nano_usd=sum(nano),
            cost_squares=sum(x * x for x in nano),
            input_tokens=10 * calls,
            output_tokens=3 * calls,
            scored=len(scores),
            quality_millionths=sum(millionths),
            quality_squares=sum(x * x for x in millionths),
        )

    @staticmethod
    def pane(second, *cells, partition=0, of=1, offsets=(-1, -1), applied=None):
        start = second * 1000
        pane = Pane(
            start_at=start,
            end_at=start + PANE_MS,
            partition=partition,
            of=of,
            cells=list(cells),
            applied=applied or {},
            first_offset=offsets[0],
            last_offset=offsets[1],
        )
        return Hand._event(PaneEvent, pane, start + PANE_MS)

    @staticmethod
    def declaration(target):
        return Hand._event(TargetEvent, target, 0)

    @staticmethod
    def _event(kind, data, at):
        # As it arrives: decoded, so that nothing is shared with whoever made it.
        at = datetime.fromtimestamp(at / 1000, UTC)
        event = kind(specversion="1.0", id="1", source="/test", time=at, subject="answers", data=data)
        return msgspec.json.decode(msgspec.json.encode(event), type=kind)


class World:
    """Orient with one row, and everything it said."""

    def __init__(self, target=None, **settings):
        self.stage = Orient(**settings)
        self.state = self.stage.initial("answers")
        self.rejected = []
        self.said = []
        if target is not None:
            self.tell(Hand.declaration(target))

    def tell(self, *events):
        step = self.stage.fold(self.state, events)
        assert not step.emitted, "orient speaks only when time passes"
        self.state, self.rejected = step.state, [*self.rejected, *step.rejected]

    def reach(self, second):
        """What is said until the watermark stands at `second`."""
        step = self.stage.on_watermark(self.state, second * 1000)
        self.state = step.state
        assert all(emit.subject == "answers" and emit.at == emit.data.window_end_at for emit in step.emitted)
        due = self.stage.next_timer(self.state)
        assert due is None or due > second * 1000
        found = [emit.data for emit in step.emitted]
        self.said += found
        return found

    def minute_by_minute(self, minutes, *cells, first=0):
        """The same cells in the first pane of each minute; what each minute's end said."""
        said = []
        for minute in range(first, first + minutes):
            self.tell(Hand.pane(60 * minute, *cells))
            said.append(self.reach(60 * minute + 60))
        return said


@pytest.fixture(scope="session")
def hand():
    return Hand


@pytest.fixture(scope="session")
def world():
    return World


@pytest.fixture
def pick():
    def of(findings, **wanted):
        """The one finding that is like this."""
        found = [f for f in findings if all(getattr(f, key) == value for key, value in wanted.items())]
        assert len(found) == 1, [f.reason for f in findings]
        return found[0]

    return of
