"""The laws of optimizer/stage.py, for every stage there is.

`Shell` is the least that can run a stage: rows, watermarks, emissions and checkpoints, without a topic.
"""

from itertools import pairwise
from random import Random

import msgspec
import pytest

from optimizer.model.event import BY_DATA, WatermarkEvent

SEEDS = range(4)
encode = msgspec.json.encode


class Shell:
    """Runs one input partition through a stage, as agents/host/host.py does."""

    def __init__(self, stage):
        self.stage = stage
        self.decode = msgspec.json.Decoder(stage.state_type).decode
        self.rows, self.watermarks = {}, {}
        self.folded = -1
        self.emitted = {}  # row → what it emitted; the index is the sequence
        self.sequence = {}  # row → how many it has emitted, as of now
        self.rejected = {}

    def run(self, events, *, cuts):
        """Fold events in batches that end before each index in `cuts`."""
        edges = sorted({0, len(events), *cuts})
        for begin, end in pairwise(edges):
            self.batch(events[begin:end])
        return self

    def batch(self, events):
        run = []
        for event in events:
            if isinstance(event, WatermarkEvent):
                self._fold(run)
                run = []
                self._wake(event.data)
            else:
                run.append(event)
        self._fold(run)
        self.folded = max(self.folded, *(event.offset for event in events))

    def _fold(self, run):
        for row, events in self.stage.group_by_key(run, 0).items():
            state = self.rows.get(row) or self.stage.initial(row)
            self._take(row, self.stage.fold(state, events))

    def _wake(self, watermark):
        self.watermarks[watermark.partition] = watermark.passed_at
        if len(self.watermarks) < watermark.of:
            return
        passed = min(self.watermarks.values())
        for row, state in self.rows.items():
            if (due := self.stage.next_timer(state)) is not None and due <= passed:
                self._take(row, self.stage.on_watermark(state, passed))
                later = self.stage.next_timer(self.rows[row])
                assert later is None or later > passed, f"{row} is due again at {later}, {passed} has passed"

    def _take(self, row, step):
        self.rows[row] = step.state
        for emit in step.emitted:
            said, log = encode(emit), self.emitted.setdefault(row, [])
            sequence = self.sequence.get(row, 0)
            if sequence < len(log):
                assert log[sequence] == said, f"{row} says something else at {sequence} than before the crash"
            else:
                log.append(said)
            self.sequence[row] = sequence + 1
            assert type(emit.data) in BY_DATA
        self.rejected.update((rejected.offset, rejected.reason) for rejected in step.rejected)

    def written(self):
        """Every row as it would be written."""
        return {row: encode(self.stage.snapshot(state)) for row, state in sorted(self.rows.items())}

    def checkpoint(self):
        return self.written(), dict(self.sequence), dict(self.watermarks), self.folded

    def crash(self, checkpoint):
        """Forget everything but what was published and written; the offset to begin to read at."""
        written, sequence, watermarks, applied = checkpoint
        self.rows = {row: self.decode(value) for row, value in written.items()}
        self.sequence, self.watermarks = dict(sequence), dict(watermarks)
        resume = [self.stage.replay_from(state, applied) for state in self.rows.values()]
        assert all(offset <= applied + 1 for offset in resume)
        begin = min([*resume, applied + 1])
        self.folded = begin - 1
        return begin - self.stage.replay_window

    def results(self):
        return self.emitted, self.rejected, self.written()


def some_cuts(random, events):
    return random.sample(range(len(events)), k=random.randrange(1, len(events) // 2))


def test_every_stage_has_inputs_for_the_laws(stages_without_inputs):
    assert set() == stages_without_inputs


@pytest.mark.parametrize("seed", SEEDS)
class TestStageLaws:
    def test_the_history_makes_the_stage_speak(self, inputs, seed):
        shell = Shell(inputs.STAGE).run(inputs.history(seed), cuts=())
        assert any(shell.emitted.values())

    def test_batches_may_be_cut_anywhere(self, inputs, seed):
        events, random = inputs.history(seed), Random(seed)
        expected = Shell(inputs.STAGE).run(events, cuts=()).results()
        assert expected == Shell(inputs.STAGE).run(events, cuts=range(len(events))).results()
        for _ in range(3):
            assert expected == Shell(inputs.STAGE).run(events, cuts=some_cuts(random, events)).results()

    def test_equal_histories_give_equal_bytes_and_stay_as_they_were(self, inputs, seed):
        events = inputs.history(seed)
        before = [encode(event) for event in events]
        first = Shell(inputs.STAGE).run(events, cuts=()).results()
        assert before == [encode(event) for event in events]
        assert first == Shell(inputs.STAGE).run(inputs.history(seed), cuts=()).results()

    def test_what_is_written_can_be_read(self, inputs, seed):
        shell, events = Shell(inputs.STAGE), inputs.history(seed)
        for begin in range(0, len(events), 7):
            shell.batch(events[begin : begin + 7])
            for row, written in shell.written().items():
                again = shell.decode(written)
                assert written == encode(again)
                assert again == shell.decode(written)
                assert written == encode(inputs.STAGE.snapshot(again)), f"{row} changes by being read"

    def test_rows_stay_small(self, inputs, seed):
        shell, events = Shell(inputs.STAGE), getattr(inputs, "flood", inputs.history)(seed)
        for begin in range(0, len(events), 100):
            shell.batch(events[begin : begin + 100])
            sizes = {row: len(written) for row, written in shell.written().items()}
            assert all(size <= inputs.ROW_BYTES for size in sizes.values()), sizes

    def test_a_crash_at_any_position_changes_nothing(self, inputs, seed):
        events, random = inputs.history(seed), Random(seed)
        expected = Shell(inputs.STAGE).run(events, cuts=()).results()
        checkpoints, live = [], Shell(inputs.STAGE)
        for event in events:
            checkpoints.append(live.checkpoint())
            live.batch([event])
        for checkpoint in checkpoints:
            shell = Shell(inputs.STAGE)
            shell.emitted = {row: said[: checkpoint[1].get(row, 0)] for row, said in expected[0].items()}
            shell.rejected = dict(expected[1])
            begin = shell.crash(checkpoint)
            rest = [event for event in events if event.offset >= begin]
            shell.run(rest, cuts=some_cuts(random, rest) if len(rest) > 3 else ())
            shell.emitted = {row: said for row, said in shell.emitted.items() if said}
            assert expected == shell.results(), f"begun again at {begin}, checkpoint at {checkpoint[3]}"

    def test_crash_after_crash_changes_nothing(self, inputs, seed):
        events, random = inputs.history(seed), Random(seed)
        expected = Shell(inputs.STAGE).run(events, cuts=()).results()
        shell = Shell(inputs.STAGE)
        checkpoint, position, crashes = shell.checkpoint(), 0, 0
        while position < len(events):
            size = random.randrange(1, 12)
            shell.batch(events[position : position + size])
            position += size
            if random.random() < 0.3:
                checkpoint = shell.checkpoint()
            if crashes < 60 and random.random() < 0.2:
                crashes += 1
                begin = shell.crash(checkpoint)
                position = sum(event.offset < begin for event in events)
        assert expected == shell.results()
        assert crashes > 0
