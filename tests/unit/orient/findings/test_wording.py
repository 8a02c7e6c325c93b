from random import Random

import pytest

from optimizer.model.target import Guardrails
from optimizer.orient.comparison.compare import worded
from optimizer.orient.findings.finding import About
from optimizer.stats.noninferiority import Comparison, Margin

QUALITY, LATENCY = Margin(0.075, "higher"), Margin(0.2, "lower")
ERRORS, COST = Margin(0.02, "lower", relative=False), Margin(0.0, "lower")


def about(metric, role="guardrail"):
    return About(target="answers", segment="grade-school-math", kind="comparison", metric=metric, role=role)


def comparison(verdict, margin, numbers, *, n, needed=None):
    effect, low, high = numbers
    return Comparison(
        verdict=verdict,
        effect=effect,
        low=low,
        high=high,
        n_candidate=n[0],
        n_control=n[1],
        n_effective=1.0,
        level=0.95,
        n_needed=needed,
        margin=margin,
    )


@pytest.mark.parametrize(
    ("metric", "found", "expected"),
    [
        (
            "quality",
            comparison("pass", QUALITY, (-0.047, -0.069, -0.024), n=(1204, 1198)),
            "−4.7 % against control (−6.9 … −2.4 %), bound −7.5 %: pass, 1,204 against 1,198 answers",
        ),
        (
            "quality",
            comparison("no_data", QUALITY, (None, None, None), n=(0, 12)),
            "nothing to compare, 0 against 12 answers: no data",
        ),
        (
            "quality",
            comparison("inconclusive", QUALITY, (0.05, None, None), n=(9, 9)),
            "+5 % against control (not bounded yet), bound −7.5 %: inconclusive, 9 against 9 answers",
        ),
        (
            "p95 latency",
            comparison("inconclusive", LATENCY, (0.123, -0.04, None), n=(96, 90), needed=1900),
            (
                "+12.3 % against control (−4 % … ∞), bound +20 %: inconclusive, 96 against 90 calls, "
                "about 1,900 per arm needed"
            ),
        ),
        (
            "errors",
            comparison("fail", ERRORS, (0.215, 0.14919, 0.28081), n=(400, 400)),
            (
                "+21.5 points against control (+14.9 … +28.1 points), bound +2 points: fail, "
                "400 against 400 calls"
            ),
        ),
        (
            "cost",
            comparison("pass", COST, (-0.712, -0.73, -0.691), n=(500, 498)),
            "−71.2 % against control (−73 … −69.1 %): cheaper, pass, 500 against 498 calls",
        ),
        (
            "cost",
            comparison("inconclusive", COST, (None, None, None), n=(50, 50)),
            "no ratio to control (not bounded yet): inconclusive, 50 against 50 calls",
        ),
    ],
)
def test_a_comparison_reads_like_this(metric, found, expected):
    subject = about(metric.removeprefix("p95 "), "goal" if metric == "cost" else "guardrail")
    said = worded(found, subject, "claude-instant-v1")
    assert said == f"{metric} of claude-instant-v1 in grade-school-math: {expected}"


def test_everything_said_in_a_minute_reads_like_this(world, hand):
    dice, w = Random(3), world(hand.target(guardrails=Guardrails(latency_p95_rise_relative=None)))
    cells = [
        hand.cell(
            n, arm=arm, generation=2, usd=usd,
            ms=[dice.lognormvariate(6, 0.3) for _ in range(n - failed)],
            scores=[float(dice.random() < mean) for _ in range(n)],
            errors={"timeout": failed} if failed else {},
        )
        for n, arm, usd, mean, failed in (
            (400, "incumbent", 0.0125, 0.84, 4),
            (300, "control", 0.0125, 0.84, 0),
            (300, "candidate", 0.001, 0.51, 90),
        )
    ]  # fmt: skip
    w.tell(hand.pane(0, *cells))
    w.tell(hand.pane(50, hand.cell(3, segment="poetry", generation=0, variant="unheard-of")))
    assert [f.reason for f in w.reach(60)] == [
        (
            "errors of claude-instant-v1 in grade-school-math: 30 % of 300 calls in the last minute, "
            "limit 25 %: trip"
        ),
        (
            "quality of claude-instant-v1 in grade-school-math: −35.3 % against control (−46.8 … "
            "−23 %), bound −5 %: fail, 300 against 300 answers"
        ),
        (
            "errors of claude-instant-v1 in grade-school-math: +30 points against control (+21.8 "
            "… +38.2 points), bound +2 points: fail, 300 against 300 calls"
        ),
        "adoption in grade-school-math: 100 % of 1,000 calls carry generation 2 or newer",
        (
            "quality of claude-instant-v1 in grade-school-math: −35.3 % against control (−46.8 … "
            "−23 %), bound −5 %: fail, 300 against 300 answers"
        ),
        (
            "errors of claude-instant-v1 in grade-school-math: +30 points against control (+21.8 "
            "… +38.2 points), bound +2 points: fail, 300 against 300 calls"
        ),
        (
            "cost of claude-instant-v1 in grade-school-math: −92 % against control (−93 … −91 "
            "%): cheaper, pass, 300 against 300 calls"
        ),
        "adoption in grade-school-math: 100 % of 1,000 calls carry generation 2 or newer",
        "adoption in other: 100 % of 3 calls carry generation 0 or newer",
        "p95 latency in grade-school-math: 641 ms (628 … 694 ms), 696 calls in 1 min",
        "cost in grade-school-math: $0.0125 a call ($0.0125 … $0.0125), 700 calls in 1 min",
        "quality in grade-school-math: 0.854 (0.828 … 0.88), 700 answers in 1 min",
        "errors in grade-school-math: 0.571 % (0.222 … 1.46 %), 700 calls in 1 min",
        "errors in other: 0 % (0 … 56.1 %), 3 calls in 1 min",
    ]
    w.tell(hand.pane(50, hand.cell(7)))
    assert [f.reason for f in w.reach(120)][-3:] == [
        "errors in grade-school-math: no call in 1 min: telemetry lost, or nobody calls",
        "errors in other: no call in 1 min: telemetry lost, or nobody calls",
        (
            "7 calls were not counted; panes that came after their window had closed: 1, "
            "panes that found no room to wait: 0"
        ),
    ]
