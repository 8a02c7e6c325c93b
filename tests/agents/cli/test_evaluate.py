"""`llmopt evaluate`: every layout, bad input in sentences, and the public series where they lie beside the checkout."""

import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import Failure
from optimizer.evaluation import change_score, window_score

SHARED = Path(__file__).parents[4] / "shared" / "data"
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


def judge(folder, out=None):
    more = ["--out", str(out)] if out else []
    done = CliRunner().invoke(app(), ["evaluate", str(folder), *more])
    if isinstance(done.exception, Failure):
        return done.exception.message, None
    assert done.exit_code == 0, done.exception
    return done.stdout, json.loads(out.read_text()) if out else None


def stamp(i):
    return (BEGIN + timedelta(minutes=5 * i)).strftime("%Y-%m-%d %H:%M:%S")


def series(folder, *, rows=700, storm=600, name="one"):
    """A noisy series with one storm, labelled around it."""
    values = np.random.default_rng(1).normal(10, 1, rows)
    values[storm : storm + 5] += 30
    path = folder / "data" / "group" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{stamp(i)},{value:.6f}" for i, value in enumerate(values)]
    path.write_text("timestamp,value\n" + "\n".join(lines) + "\n")
    labels = {f"group/{name}.csv": [[stamp(storm - 20) + ".000000", stamp(storm + 20) + ".000000"]]}
    (folder / "windows.json").write_text(json.dumps(labels))
    return path


class TestAnomalies:
    def test_a_storm_is_found_and_scored(self, tmp_path):
        series(tmp_path)
        printed, told = judge(tmp_path, tmp_path / "out.json")
        assert "1 of 1" in printed
        assert told["anomalies"]["series"][0]["flagged"][0]["timestamp"] == stamp(600)
        assert told["anomalies"]["scores"]["standard"]["yes_no"]["score"] > 70
        assert len(told["anomalies"]["series"][0]["scores"]) == 700

    def test_without_labels_only_what_was_found_is_told(self, tmp_path):
        series(tmp_path)
        (tmp_path / "windows.json").unlink()
        printed, told = judge(tmp_path, tmp_path / "out.json")
        assert "no labels: only what was found is told" in " ".join(printed.split())
        assert told["anomalies"]["scores"] == {}
        assert len(told["anomalies"]["series"][0]["flagged"]) >= 1

    def test_rows_that_cannot_be_read_are_counted_and_the_rest_is_judged(self, tmp_path):
        path = series(tmp_path)
        lines = path.read_text().splitlines()
        lines[100], lines[200], lines[300] = "yesterday,3", f"{stamp(199)},nan", f"{stamp(299)}"
        del lines[400:420]
        path.write_text("\n".join(lines))
        printed, told = judge(tmp_path, tmp_path / "out.json")
        assert "1 rows have no timestamp" in printed
        assert "2 rows have no finite value" in printed
        assert told["anomalies"]["series"][0]["windows_hit"] == 1

    def test_irregular_and_numeric_timestamps_are_taken(self, tmp_path):
        path = series(tmp_path)
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        rng, at, lines = np.random.default_rng(2), BEGIN.timestamp(), []
        for _, value in rows:
            at += float(rng.choice([30, 300, 900]))
            lines.append(f"{at:.0f},{value}")
        path.write_text("timestamp,value\n" + "\n".join(lines))
        (tmp_path / "windows.json").write_text("{}")
        _, told = judge(tmp_path, tmp_path / "out.json")
        assert told["anomalies"]["series"][0]["judged"] > 100

    def test_a_short_series_is_said_to_be_learning(self, tmp_path):
        series(tmp_path, rows=50, storm=40)
        printed, _ = judge(tmp_path)
        assert "too short" in printed


class TestChanges:
    def test_a_step_is_found_in_any_dimension_and_scored(self, tmp_path):
        (tmp_path / "series").mkdir()
        rng = np.random.default_rng(3)
        steps = [(rng.normal(0, 1, 100) + np.repeat([0, where], 50)).tolist() for where in (8, 0)]
        steps[1][10] = None
        told = {"name": "two", "n_obs": 100, "n_dim": 2, "series": [{"raw": raw} for raw in steps]}
        (tmp_path / "series" / "two.json").write_text(json.dumps(told))
        (tmp_path / "series" / "bad.json").write_text('{"series": 3}')
        (tmp_path / "annotations.json").write_text(json.dumps({"two": {"a": [50], "b": [51]}}))
        printed, found = judge(tmp_path, tmp_path / "out.json")
        one = {one["name"]: one for one in found["changes"]["series"]}
        assert one["two"]["changes"] == [50]
        assert found["changes"]["f1"] == 1.0
        assert "2 dimensions" in printed
        assert "bad: `series` must be a list" in printed


class TestComparison:
    def rows(self, path, arms, values):
        lines = [f"{arm},{value}" for arm, value in zip(arms, values, strict=True)]
        (path / "comparison.csv").write_text("arm,value\n" + "\n".join(lines))

    def test_a_worse_candidate_fails_and_it_is_said_when(self, tmp_path):
        rng = np.random.default_rng(4)
        arms = np.tile(["control", "candidate"], 2000)
        self.rows(tmp_path, arms, (rng.random(4000) < np.where(arms == "control", 0.84, 0.51)).astype(int))
        printed, told = judge(tmp_path, tmp_path / "out.json")
        one = told["comparison"]["comparisons"][0]
        assert (one["kind"], one["comparison"]["verdict"], one["decided"], one["differs"]) == (
            "share", "fail", "fail", "lower",
        )  # fmt: skip
        assert 40 <= one["decided_at"] <= 250
        assert "none shown" in printed

    def test_equal_arms_do_not_differ_and_unequal_numbers_are_noticed(self, tmp_path):
        rng = np.random.default_rng(5)
        arms = ["a"] * 3000 + ["b"] * 2000 + ["b", "", "a"]
        values = [*rng.lognormal(0, 1, 5000).tolist(), "x", 3, float("nan")]
        self.rows(tmp_path, arms, values)
        printed, told = judge(tmp_path, tmp_path / "out.json")
        one = told["comparison"]["comparisons"][0]
        assert (one["control"], one["kind"], one["differs"], one["in_turns"]) == ("a", "mean", None, True)
        assert "mismatch" in printed
        assert "3 rows have no arm or no finite value" in printed


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "holds nothing to evaluate"),
        ({"comparison.csv": "arm,value\na,1\na,2\n"}, "must have rows of two arms"),
        ({"comparison.csv": "who,what\na,1\n"}, "must have the columns arm, value, found who, what"),
        ({"comparison.csv": ""}, "found nothing"),
        ({"data/g/one.csv": "timestamp,value\n", "windows.json": "[]"}, "must hold an object, found list"),
        ({"data/g/one.csv": "timestamp,value\n", "windows.json": "{"}, "windows.json is no JSON"),
        ({"data/g/one.csv": "at,what\n1,2\n"}, "one.csv must have the columns timestamp, value"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_sentence(tmp_path, files, sentence):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert sentence in judge(tmp_path)[0]


def test_a_folder_that_is_none_is_said(tmp_path):
    assert judge(tmp_path / "nowhere")[0].endswith("is no folder")


def scorer(path):
    module = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(module)
    module.loader.exec_module(found)
    return found


@pytest.mark.skipif(not SHARED.exists(), reason="the public series are not part of this repository")
class TestPublicSeries:
    def test_windows_are_scored_as_by_the_other_scorer(self):
        folder = SHARED / "anomaly_dev"
        windows = json.loads((folder / "windows.json").read_text())
        names = [name for name in windows if "artificialWith" in name]
        rng, theirs, ours = np.random.default_rng(6), {}, []
        for name in names:
            times = [line.split(",")[0] for line in (folder / "data" / name).read_text().splitlines()[1:]]
            scores = np.round(rng.random(len(times)) ** 50, 2).tolist()
            theirs[name] = (times, scores)
            rows = {text: i for i, text in reversed(list(enumerate(times)))}
            ours.append(
                window_score.Labelled(
                    scores, [tuple(rows[end.split(".")[0]] for end in w) for w in windows[name]]
                )
            )
        other = scorer(folder / "nab_score.py")
        for profile in window_score.PROFILES:
            for threshold in (None, 0.5):
                expected = other.score_corpus(theirs, {n: windows[n] for n in names}, profile, threshold)
                found = window_score.score(ours, profile, threshold=threshold)
                assert found.score == pytest.approx(expected["score"])
                assert (found.hit, found.false_rows) == (expected["windows_hit"], expected["fp"])

    def test_changes_are_scored_as_by_the_other_scorer_and_well_enough(self, tmp_path):
        folder = SHARED / "changepoint_dev"
        other, marked = (
            scorer(folder / "cpd_metrics.py"),
            json.loads((folder / "annotations.json").read_text()),
        )
        _, told = judge(folder, tmp_path / "out.json")
        for one in told["changes"]["series"]:
            name, cuts = one["name"], one["changes"]
            assert change_score.f1(marked[name], cuts) == pytest.approx(other.f1(marked[name], cuts))
            assert change_score.covering(marked[name], cuts, one["rows"]) == pytest.approx(
                other.cover(marked[name], cuts, one["rows"])
            )
        assert told["changes"]["f1"] >= 0.70
        assert told["changes"]["covering"] >= 0.69

    def test_anomalies_of_public_series_score_as_promised(self, tmp_path):
        # All but the long ones, for time; `make evaluate` takes all (docs/evaluate.md).
        (tmp_path / "data").mkdir()
        for group in (SHARED / "anomaly_dev" / "data").iterdir():
            if group.name != "realTweets":
                (tmp_path / "data" / group.name).symlink_to(group)
        (tmp_path / "windows.json").symlink_to(SHARED / "anomaly_dev" / "windows.json")
        _, told = judge(tmp_path, tmp_path / "out.json")
        standard = told["anomalies"]["scores"]["standard"]
        assert standard["yes_no"]["score"] > 0
        assert standard["by_scores"]["score"] >= 45
        assert max(one["flagged_share"] for one in told["anomalies"]["series"]) < 0.005
