"""The remedy for a name that is no setting: its present name, or the one that is spelt most alike."""

import difflib
from collections.abc import Collection, Mapping

FORMER: Mapping[str, str] = {
    "lateness_s": "watermark_delay_s",
    "lag_s": "stalled_source_s",
    "stall_s": "watchdog_s",
    "ingest_rate": "ingest_events_per_s",
    "ingest_waiting": "ingest_max_pending",
}
"""Former name of a setting → its present name."""
PREFIX = "LLMOPT_"


def instead_of(name: str, known: Collection[str]) -> str:
    """The remedy for an unknown setting: a variable `LLMOPT_…`, or a line of the settings file, among `known`."""
    is_variable = name.startswith(PREFIX)
    present = FORMER.get(name.removeprefix(PREFIX).lower() if is_variable else name)
    if present is not None:
        return f"it is now called {PREFIX + present.upper() if is_variable else present}"
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    return f"did you mean {near[0]}? `llmopt settings` lists all"
