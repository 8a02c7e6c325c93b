"""A gateway and its callers: draws calls, serves them by the configuration, and tells what came of them.

A pure function of its seed and of the configurations it is given: second `s` draws from a
counter-based generator keyed by (seed, s), so nothing depends on how often or how fast it is asked.

    arrival    prompt and unit, each equally likely; the configuration assigns unit → arm → model
    outcome    the recorded score and cost of that model on that prompt
    latency    lognormal around the model's median (agents/declarations/outcomes.py)
    error      with probability ERROR_RATE; in a storm STORM_ERROR_RATE of that model's calls

A call is published in the second in which it *ended*. Event time is whole seconds after `epoch_ms`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from llm_auto_optimizer_client import bucket

from agents.declarations.outcomes import BOLT, DERIVED, SEGMENTS, SPREAD, Floats, Integers, RecordedOutcomes
from agents.demo.traffic import Arrivals
from optimizer.model.configuration import ArmOfConfiguration, Configuration

UNITS = 20_000
"""Users; each keeps the arm that its bucket gives it."""

ERROR_RATE = 0.004
STORM_ERROR_RATE = 0.6
STORM_AFTER_S = 360
"""Event seconds between the first call that `acme/bolt-1` serves and the storm at its provider."""

ERROR_MS = 120.0
"""A refused call comes back at once."""

SLOWEST_MS = 120_000
"""A gateway gives up on a call after two minutes."""

SOURCE = "/demo/gateway"


@dataclass
class Routing:
    """A configuration as tables: one look-up per call."""

    configuration: Configuration
    place: npt.NDArray[np.int16]
    """[segment, unit] → bucket."""
    arm: npt.NDArray[np.int16]
    """[segment, bucket] → arm, an index into `arms`."""
    model: Integers
    """[arm] → row of the outcomes."""
    fragments: list[str]
    """[arm] → the call's assignment and model as JSON, up to the unit."""


@dataclass
class CallBatch:
    """Calls that arrived together; arrays of equal length."""

    ended_ms: Integers
    """After the epoch."""
    latency_ms: Floats
    prompt: Integers
    model: Integers
    unit: Integers
    failed: npt.NDArray[np.bool_]
    fragment: list[str]


@dataclass
class DemoGateway:
    """The gateway; `serve` one second after the other."""

    outcomes: RecordedOutcomes
    arrivals: Arrivals
    target: str
    default: str
    """The model that serves while there is no configuration."""
    seed: int
    epoch_ms: int
    first_served: dict[str, int] = field(default_factory=dict)
    """Derived model → the event second in which it served its first call."""
    served: int = 0
    """Calls published."""
    _routing: Routing | None = None
    _places: dict[str, npt.NDArray[np.int16]] = field(default_factory=dict)
    _pending: dict[int, list[CallBatch]] = field(default_factory=dict)
    _answers: dict[tuple[int, int], str] = field(default_factory=dict)
    _keys: list[bytes] = field(default_factory=lambda: [f"u{u}".encode() for u in range(UNITS)])

    def use(self, configuration: Configuration) -> None:
        """Serve by this configuration from now on."""
        if self._routing is None or self._routing.configuration.generation < configuration.generation:
            self._routing = self._tables(configuration)

    @property
    def storm_at(self) -> int | None:
        """The event second at which the storm at `acme/bolt-1` begins; None: not yet known."""
        first = self.first_served.get(BOLT)
        return None if first is None else first + STORM_AFTER_S

    @property
    def generation(self) -> int:
        """The generation in use; 0: the default serves."""
        return self._routing.configuration.generation if self._routing else 0

    def serve(self, second: int) -> list[tuple[bytes, bytes]]:
        """Let a second's calls arrive, and tell of those that end in it: (key, event) in order of time."""
        self._arrive(second)
        ended = [
            (int(batch.ended_ms[i]), batch, i)
            for batch in self._pending.pop(second, [])
            for i in range(batch.ended_ms.size)
        ]
        ended.sort(key=lambda call: call[0])
        stamp = datetime.fromtimestamp(self.epoch_ms // 1000 + second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return [self._event(batch, i, f"{stamp}{at % 1000:03d}Z") for at, batch, i in ended]

    def tick(self, second: int) -> bytes:
        """The clock's word that this second is over; goes into every partition after its calls."""
        at = datetime.fromtimestamp(self.epoch_ms // 1000 + second + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f'{{"type":"llmopt.tick.v1","specversion":"1.0","source":"/demo/clock","id":"tick-{second}",'
            f'"time":"{at}","data":{{"period_ms":1000}}}}'
        ).encode()

    def _arrive(self, second: int) -> None:
        dice = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, second]))
        n = int(dice.poisson(self.arrivals.expected(second)))
        prompt = dice.integers(self.outcomes.segment.size, size=n)
        unit = dice.integers(UNITS, size=n)
        z, luck, offset_ms = dice.standard_normal(n), dice.random(n), dice.integers(1000, size=n)
        model, fragment = self._assign(prompt, unit)
        failed = luck < self._error_rate(model, second)
        latency_ms = np.where(failed, ERROR_MS, self.outcomes.median_ms[model, prompt]) * np.exp(SPREAD * z)
        latency_ms = np.minimum(latency_ms, SLOWEST_MS)
        ended_ms = second * 1000 + offset_ms + latency_ms.astype(np.int64)
        end_s = ended_ms // 1000
        for end in np.unique(end_s):
            these = np.flatnonzero(end_s == end)
            self._pending.setdefault(int(end), []).append(
                CallBatch(
                    ended_ms[these], latency_ms[these], prompt[these], model[these], unit[these],
                    failed[these], [fragment[i] for i in these],
                )
            )  # fmt: skip

    def _assign(self, prompt: Integers, unit: Integers) -> tuple[Integers, list[str]]:
        """The model that serves each call, and what its event says of that."""
        routing = self._routing
        if routing is None:
            row = self.outcomes.model(self.default)
            return np.full(prompt.size, row), [f'"model":"{self.default}"'] * prompt.size
        segment = self.outcomes.segment[prompt]
        arm = routing.arm[segment, routing.place[segment, unit]]
        fragments = routing.fragments
        return routing.model[arm], [fragments[a] for a in arm]

    def _error_rate(self, model: Integers, second: int) -> Floats:
        for name in DERIVED:
            if name not in self.first_served and bool((model == self.outcomes.model(name)).any()):
                self.first_served[name] = second
        bolt = self.outcomes.model(BOLT)
        raging = self.storm_at is not None and second >= self.storm_at
        return np.where(raging & (model == bolt), STORM_ERROR_RATE, ERROR_RATE)

    def _event(self, batch: CallBatch, i: int, time: str) -> tuple[bytes, bytes]:
        self.served = n = self.served + 1
        unit, prompt, model = int(batch.unit[i]), int(batch.prompt[i]), int(batch.model[i])
        fragment = batch.fragment[i].replace("?", f"u{unit}")
        answer = '"error_type":"unavailable"' if batch.failed[i] else self._answer(model, prompt)
        segment = SEGMENTS[self.outcomes.segment[prompt]]
        return self._keys[unit], (
            f'{{"type":"llmopt.call.v1","specversion":"1.0","source":"{SOURCE}","id":"{n}","time":"{time}",'
            f'"subject":"{self.target}","data":{{"call_id":"c{n}",'
            f'"latency_ms":{batch.latency_ms[i]:.3f},{fragment},{answer},"attributes":{{"task":"{segment}"}}}}}}'
        ).encode()

    def _answer(self, model: int, prompt: int) -> str:
        """Tokens, cost and score of a model's answer to a prompt, as JSON."""
        if (model, prompt) not in self._answers:
            of = self.outcomes
            self._answers[model, prompt] = (
                f'"input_tokens":{of.input_tokens[prompt]},"output_tokens":{of.output_tokens[model, prompt]},'
                f'"cost_usd":{of.cost_nano_usd[model, prompt] / 1e9:.9f},'
                f'"quality":{{"score":{of.score[model, prompt]:g},"source":"test"}}'
            )
        return self._answers[model, prompt]

    def _tables(self, configuration: Configuration) -> Routing:
        arm = np.zeros((len(SEGMENTS), 10_000), dtype=np.int16)
        listed: list[tuple[str, ArmOfConfiguration]] = []
        for row, name in enumerate(SEGMENTS):
            served = name if name in configuration.segments else "other"
            reached = 0
            for segment in configuration.segments[served]:
                arm[row, reached : reached + segment.weight_bps] = len(listed)
                reached += segment.weight_bps
                listed.append((served, segment))
        return Routing(
            configuration=configuration,
            place=np.stack([self._place(configuration, name) for name in SEGMENTS]),
            arm=arm,
            model=np.array([self.outcomes.model(arm.model) for _, arm in listed]),
            fragments=[_fragment(configuration.generation, served, arm) for served, arm in listed],
        )

    def _place(self, configuration: Configuration, segment: str) -> npt.NDArray[np.int16]:
        """The bucket of every unit in a segment; kept, as salts do not change."""
        served = segment if segment in configuration.segments else "other"
        key = f"{configuration.salt}\x1f{served}"
        if key not in self._places:
            buckets = [bucket(configuration.salt, served, f"u{unit}") for unit in range(UNITS)]
            self._places[key] = np.array(buckets, dtype=np.int16)
        return self._places[key]


def _fragment(generation: int, segment: str, arm: ArmOfConfiguration) -> str:
    """A call's model and assignment as JSON; `?` stands for the unit."""
    return (
        f'"model":"{arm.model}","provider":"{arm.provider}","assignment":{{"generation":{generation},'
        f'"variant_id":"{arm.variant_id}","arm":"{arm.arm}","segment":"{segment}",'
        f'"propensity":{max(arm.weight_bps, 1) / 10_000:g},"unit_id":"?"}}'
    )
