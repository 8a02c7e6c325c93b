#!/usr/bin/env bash
# Calls that cost twice as much as yesterday are no drift in dollars and a drift in cents.
#
# Guess: a drift detector that compares the means of two windows by their variance does not care for the unit.
# So:    ADWIN's bound has a second term, which takes the values to lie between 0 and 1. A call's costs in dollars are
#        thousandths: 5,000 calls at $0.002 and then 5,000 at $0.004, standard deviation $0.0002, go unnoticed; the
#        same numbers in cents or in millionths of a dollar are noticed within 100 calls.
#        Neither the documentation of the class nor an error says that the input has a range.
# Seen:  2026-12-01, river 0.26.1 (PyPI), defaults.
# Source: Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing" (2007), where values lie in [0, 1].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    river==0.26.1 numpy==2.3.5 scipy==1.16.3 narwhals==2.29.0

cat >detect.py <<'PY'
import random

from river import drift

dice = random.Random(1)
dollars = [dice.gauss(mean, 0.0002) for mean in [0.002] * 5000 + [0.004] * 5000]
for unit, factor in (("dollars", 1), ("cents", 100), ("millionths of a dollar", 1_000_000)):
    detector = drift.ADWIN()
    drifts = []
    for call, cost in enumerate(dollars, start=1):
        detector.update(cost * factor)
        if detector.drift_detected:
            drifts.append(call)
    print(f"{unit}: drift after call {drifts}, mean {detector.estimation / factor:.4f} dollars")
PY

cat >expected.txt <<'SEEN'
dollars: drift after call [], mean 0.0030 dollars
cents: drift after call [5056], mean 0.0040 dollars
millionths of a dollar: drift after call [5024], mean 0.0040 dollars
SEEN
venv/bin/python detect.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "river-adwin-depends-on-the-unit: ADWIN notices the change otherwise than stated above." >&2
    exit 1
fi
echo "river-adwin-depends-on-the-unit: still so"
