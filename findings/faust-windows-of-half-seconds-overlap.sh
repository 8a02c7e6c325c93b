#!/usr/bin/env bash
# Tumbling windows of 1.5 s overlap, and the current one is none of those that an event is counted in.
#
# Guess: a tumbling window puts every event into exactly one window, whatever its length; the length may be a float or a
#        timedelta.
# So:    the step between windows is cut to whole seconds where events are put in, not where the current window is asked
#        for. At 1.5 s, 12 events half a second apart are counted 18 times, and 6 of them are in no window that `current`
#        names: a table's `.current()` then reads a row that nobody has written. At 2 s all is as one thinks.
# Seen:  2026-12-01, faust-streaming 0.15.3 (PyPI), without a broker.
# Source: the package's own type says `Seconds`: a float or a timedelta.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    faust-streaming==0.15.3 mode-streaming==0.7.1 aiokafka==0.14.0 aiohappyeyeballs==2.7.1 aiohttp==3.14.5 \
    aiohttp-cors==0.8.1 aiosignal==1.4.0 async-timeout==5.0.1 attrs==26.1.0 click==8.3.3 colorlog==6.12.0 \
    croniter==5.0.1 frozenlist==1.8.0 idna==3.20 intervaltree==3.2.1 multidict==7.2.1 mypy_extensions==1.2.0 \
    packaging==26.4 propcache==0.5.4 python-dateutil==4.0.0 pytz==2026.6 six==1.17.0 sortedcontainers==2.4.0 \
    terminaltables==3.1.10 typing_extensions==4.16.0 tzdata==2026.6 venusian==3.1.0 yarl==1.25.1

cat >windows.py <<'PY'
from datetime import timedelta

import faust

AT_S = [10 + half / 2 for half in range(12)]
for length in (timedelta(seconds=2), timedelta(seconds=1.5)):
    window = faust.TumblingWindow(length)
    homes = {at_s: [tuple(home) for home in window.ranges(at_s)] for at_s in AT_S}
    counted = sum(map(len, homes.values()))
    strays = sum(tuple(window.current(at_s)) not in homes[at_s] for at_s in AT_S)
    print(f"{length.total_seconds()} s: {len(AT_S)} events are counted {counted} times, {strays} not in the current window")
print(f"1.5 s at 11.0: counted in {window.ranges(11.0)}, current is {window.current(11.0)}")
PY

cat >expected.txt <<'SEEN'
2.0 s: 12 events are counted 12 times, 0 not in the current window
1.5 s: 12 events are counted 18 times, 6 not in the current window
1.5 s at 11.0: counted in [(10.0, 11.4), (11.0, 12.4)], current is (10.5, 11.9)
SEEN
venv/bin/python windows.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "faust-windows-of-half-seconds-overlap: windows that are no whole seconds long lie otherwise than stated above." >&2
    exit 1
fi
echo "faust-windows-of-half-seconds-overlap: still so"
