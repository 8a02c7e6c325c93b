#!/usr/bin/env bash
# A report of expected rewards that is noise, now and then.
#
# Guess: `predict_expectations` returns what was learnt; chance enters in `predict` only.
# So:    with EpsilonGreedy it returns the means with probability 1 - epsilon and otherwise random numbers between 0 and 1,
#        without a mark that tells them apart. Rewards that lie far outside, such as milliseconds, give the noise away;
#        scores between 0 and 1 do not. Asking moves the dice: the next `predict` depends on how often somebody looked.
# Seen:  2026-12-01, mabwiser 2.7.4 (PyPI).
# Source: its documentation calls the result a dictionary of arms to their expected rewards.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    mabwiser==2.7.4 numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 scikit-learn==1.7.2 \
    joblib==1.5.2 threadpoolctl==3.6.0 python-dateutil==2.9.0.post0 six==1.17.0 pytz==2025.2 tzdata==2025.2

cat >ask.py <<'PY'
from mabwiser.mab import MAB, LearningPolicy


def learnt(epsilon):
    bandit = MAB(["slow", "quick"], LearningPolicy.EpsilonGreedy(epsilon=epsilon), seed=1)
    bandit.fit(["slow", "slow", "quick", "quick"], [900, 1100, 400, 600])
    return bandit


for epsilon in (0, 0.25):
    bandit = learnt(epsilon)
    answers = [bandit.predict_expectations() for _ in range(1000)]
    means = sum(answer == {"slow": 1000, "quick": 500} for answer in answers)
    noise = sum(all(0 <= reward <= 1 for reward in answer.values()) for answer in answers)
    print(f"epsilon {epsilon}: the means in {means} of 1000 answers, numbers between 0 and 1 in {noise}")
left_alone, looked_at = learnt(0.25), learnt(0.25)
undisturbed = [left_alone.predict() for _ in range(1000)]
disturbed = []
for _ in range(1000):
    looked_at.predict_expectations()
    disturbed.append(looked_at.predict())
print("looking changes what is predicted with the same seed:", undisturbed != disturbed)
PY

cat >expected.txt <<'SEEN'
epsilon 0: the means in 1000 of 1000 answers, numbers between 0 and 1 in 0
epsilon 0.25: the means in 752 of 1000 answers, numbers between 0 and 1 in 248
looking changes what is predicted with the same seed: True
SEEN
venv/bin/python ask.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "mabwiser-expectations-are-thrown: expected rewards are reported otherwise than stated above." >&2
    exit 1
fi
echo "mabwiser-expectations-are-thrown: still so"
