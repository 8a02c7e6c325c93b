#!/usr/bin/env bash
# A score of 0.1 is worth as much as a score of 0.9.
#
# Guess: a Beta posterior takes a graded reward as a share of a success, or refuses it.
# So:    `proba.Beta.update` asks only whether the reward is true: every score above zero is one whole success. Thompson
#        sampling over two models with scores of 0.1 and 0.9 knows no difference after 400 scores and sends each about half.
#        MABWiser refuses the same rewards and asks for a rule that makes them binary.
# Seen:  2026-12-01, river 0.26.1 beside mabwiser 2.7.4 (PyPI).
# Source: both packages' documentation calls the reward binary; only one of them holds its users to it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    river==0.26.1 mabwiser==2.7.4 numpy==2.3.5 scipy==1.16.3 narwhals==2.29.0 pandas==2.3.3 scikit-learn==1.7.2 \
    joblib==1.5.2 threadpoolctl==3.6.0 python-dateutil==2.9.0.post0 six==1.17.0 pytz==2025.2 tzdata==2025.2

cat >learn.py <<'PY'
from mabwiser.mab import MAB, LearningPolicy
from river import bandit, proba

policy = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=1)
for _ in range(200):
    policy.update("poor", 0.1)
    policy.update("good", 0.9)
for model in ("poor", "good"):
    posterior = policy._rewards[model]
    print(f"river: {model} has Beta({posterior.alpha}, {posterior.beta})")
pulls = [policy.pull(["poor", "good"]) for _ in range(1000)]
print("river: about half of the pulls go to the poor one:", 400 < pulls.count("poor") < 600)
try:
    MAB(["poor", "good"], LearningPolicy.ThompsonSampling()).fit(["poor", "good"], [0.1, 0.9])
    print("mabwiser: taken")
except ValueError as refusal:
    print("mabwiser:", refusal)
PY

cat >expected.txt <<'SEEN'
river: poor has Beta(201, 1)
river: good has Beta(201, 1)
river: about half of the pulls go to the poor one: True
mabwiser: Thompson Sampling requires binary rewards when binarizer function is not provided.
SEEN
venv/bin/python learn.py >seen.txt
if ! diff expected.txt seen.txt; then
    echo "river-beta-counts-any-reward-as-won: graded rewards are taken otherwise than stated above." >&2
    exit 1
fi
echo "river-beta-counts-any-reward-as-won: still so"
