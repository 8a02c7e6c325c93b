"""Observe folds the calls of one input partition into panes of ten seconds, one for each target.

Its row is small: open panes are rebuilt by re-reading the log from the first record that went into
one of them (`replay_from`); the filter of duplicates and the calls that feedback may be about, from
`replay_window` records before that. Closings that were emitted before the crash are repeated without
emitting; later ones emit exactly what they would have emitted.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from optimizer.model.progress import WATERMARK_DELAY_S
from optimizer.observe.folding import Folding
from optimizer.observe.intake import ObserveSettings
from optimizer.observe.state import ObserveState
from optimizer.prices import NO_PRICES, PriceList
from optimizer.stage import Step


class Observe:
    """Folds calls, feedback, metrics, applied generations, ticks and declarations; one row for each partition.

    Only ticks emit: all panes that the watermark has passed, then one watermark.
    """

    name = "observe"
    state_type = ObserveState
    state_version = 1

    def __init__(
        self,
        partition_count: int,
        *,
        pane_ms: int = 10_000,
        watermark_delay_ms: int = WATERMARK_DELAY_S * 1000,
        dedupe_records: int = 200_000,
        ahead_ms: int = 60_000,
        behind_ms: int = 86_400_000,
        prices: PriceList = NO_PRICES,
    ) -> None:
        self.replay_window = dedupe_records
        self._prices = prices
        self._settings = ObserveSettings(
            partition_count, pane_ms, watermark_delay_ms, dedupe_records, ahead_ms, behind_ms
        )

    def group_by_key(self, events: Sequence[Any], partition: int) -> Mapping[str, Sequence[Any]]:
        """All events go to the input partition's row, whatever their subject."""
        return {str(partition): events} if events else {}

    def initial(self, row: str) -> ObserveState:
        """The state of a partition that has never been read."""
        return ObserveState(partition=int(row))

    def fold(self, state: ObserveState, events: Sequence[Any]) -> Step[ObserveState]:
        """Count the records; emit what the ticks among them close.

        Records at or below `state.folded` only refill what is remembered of the last records: after a crash
        the shell passes up to `replay_window` of them first.
        """
        folding = Folding(self._settings, state, state.remembered(self.replay_window), self._prices)
        folding.run(events)
        return Step(state, chain.from_iterable(folding.emitted), folding.rejected)

    def next_timer(self, state: ObserveState) -> int | None:  # noqa: ARG002 - part of the contract
        """Never: time arrives as ticks, among the records."""
        return None

    def on_watermark(self, state: ObserveState, watermark: int) -> Step[ObserveState]:  # noqa: ARG002 - part of the contract
        """Nothing: observe makes the watermarks and receives none."""
        return Step(state)

    def on_stalled_sources(
        self,
        state: ObserveState,
        stalled: Mapping[int, int],  # noqa: ARG002 - part of the contract
        leading_at: int,  # noqa: ARG002 - part of the contract
    ) -> Step[ObserveState]:
        """It hears no watermarks."""
        return Step(state)

    def event_time(self, state: ObserveState) -> int | None:
        """The last tick."""
        return state.tick_at

    def snapshot(self, state: ObserveState) -> ObserveState:
        """The state as of the first record that is to be read again, and how far was emitted.

        As small as the declarations and the cumulative series are: no pane, no count, no name of a record.
        """
        return state.snapshot()

    def replay_from(self, state: ObserveState, applied: int) -> int:
        """The first record of any open pane or pending count; `applied + 1` when nothing is open."""
        return applied + 1 if state.open_since is None else state.open_since
