"""Behavioural tests: what a model must do, whatever its accuracy.

As M. Ribeiro et al. have it (Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL 2020):

- functionality: a text that must have its label;
- invariance: a change that must not change the answer;
- direction: a change that must flip it.

Tests are written by people, as a CSV, or generated. That spelling decides nothing is asked of every model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compliance import metrics, questions
from compliance.generate_behaviour import COLUMNS, DIRECTION, FUNCTIONALITY, INVARIANCE
from compliance.metrics import CONFIDENCE, Estimate
from compliance.scorer import Scorer
from compliance.text import normalize_all

KINDS = (FUNCTIONALITY, INVARIANCE, DIRECTION)
ERRORS_FILE = "behaviour_errors.csv"
PARAMETER = "evaluate.behaviour_source"  # names the tests that people wrote
SPELLING = "case, blanks and punctuation"


@dataclass(frozen=True)
class Outcome:
    """How a model did on one behavioural test.

    Attributes:
        kind: One of KINDS.
        cases: Distinct cases.
        failed: Share of them that failed, with an exact interval that holds for all tests together.
    """

    kind: str
    cases: int
    failed: Estimate


@dataclass(frozen=True)
class Behaviour:
    """How a model did on every behavioural test.

    Attributes:
        tests: By name.
        failures: A row for each case that failed: `test`, `kind`, `text`, `changed`, `label`, and the probability of
            each text.
    """

    tests: Mapping[str, Outcome]
    failures: pd.DataFrame

    def worst(self, limit: float) -> str:
        """Name the test that speaks for all: one above the limit before one that is not sure to keep it."""
        failed = {name: test.failed for name, test in self.tests.items()}
        return max(failed, key=lambda name: (failed[name].value > limit, failed[name].high, name))

    def scraps(self, limit: float) -> dict[str, float | str]:
        """Give what gates look at: the worst test by the share of failures that is allowed."""
        name = self.worst(limit)
        worst = self.tests[name]
        return {
            "behaviour_tests": len(self.tests),
            "behaviour_worst": name,
            "behaviour_cases": worst.cases,
            "behaviour_failed": worst.failed.value,
            "behaviour_failed_high": worst.failed.high,
        }

    def table(self) -> pd.DataFrame:
        """Give a line per test, as text for people; the worst first."""
        ordered = sorted(self.tests.items(), key=lambda held: (-held[1].failed.high, held[0]))
        lines = {
            name: {"kind": test.kind, "cases": f"{test.cases:,}", "share failed": str(test.failed)}
            for name, test in ordered
        }
        return pd.DataFrame.from_dict(lines, orient="index").rename_axis("test")

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold, by test."""
        return {
            name: {"kind": test.kind, "cases": test.cases, "failed": test.failed.as_dict()}
            for name, test in self.tests.items()
        }


def read(source: str, data: Mapping[str, Any], *, rows: int, seed: int) -> pd.DataFrame:
    """Read behavioural tests, laid out as the source of the data was.

    Args:
        source: Path of a CSV file, http(s) address of one, or `generated:NAME`. Beside the columns of text and label,
            where the label is what the text, or the changed text, must get, it has `test`, `kind` and `changed`.
        data: The data report of the prepare phase, which says how texts and labels are written.
        rows: How many to generate, where they are generated.
        seed: Of the generator.

    Returns:
        Distinct cases: `test`, `kind`, `text`, `changed` ("" for functionality), `label` (1 is non-compliant).

    Raises:
        BadInput: It cannot be read, or a row is unsound: each is a question somebody chose, so none is left out.
    """
    columns = {name: ("", name) for name in ("test", "kind", "changed")}
    asked = questions.read(source, PARAMETER, columns, data, rows=rows, seed=seed)
    asked.check("behavioural tests", f"leave {PARAMETER} away", _faults(asked.rows))
    cases = asked.rows.assign(label=asked.labels)
    words = pd.DataFrame({"test": cases["test"]} | {name: normalize_all(cases[name]) for name in ("text", "changed")})
    return cases[~words.duplicated()][list(COLUMNS)].reset_index(drop=True)


def of_spelling(texts: pd.DataFrame) -> pd.DataFrame:
    """Give invariance cases from texts with `text` and `label`: other case, more blanks, other punctuation."""
    changed = "  " + texts["text"].str.upper().str.replace(r"[\s.,;:]+", "  ", regex=True).str.strip() + " . "
    cases = pd.DataFrame({"text": texts["text"], "changed": changed, "label": texts["label"].astype(np.int8)})
    same_words = normalize_all(cases["text"]) == normalize_all(cases["changed"])  # a comma may hold a number together
    cases = cases[same_words.to_numpy()].drop_duplicates(["text"])
    return cases.assign(test=SPELLING, kind=INVARIANCE)[list(COLUMNS)].reset_index(drop=True)


def judge(cases: pd.DataFrame, scorer: Scorer) -> Behaviour:
    """Let a model answer behavioural tests.

    The upper ends hold for all tests together (Bonferroni), since the worst of them is looked at.

    Args:
        cases: As `read` and `of_spelling` give them.
        scorer: The model. An answer that is no number fails its case.
    """
    probabilities = scorer.score(list(cases["text"]))
    changed = np.full(len(cases), np.nan, np.float32)
    pairs = (cases["kind"] != FUNCTIONALITY).to_numpy()
    if pairs.any():
        changed[pairs] = scorer.score(list(cases["changed"][pairs]))
    last = np.where(pairs, changed, probabilities)
    right = (last >= scorer.threshold) == (cases["label"].to_numpy() == 1)
    same = (changed >= scorer.threshold) == (probabilities >= scorer.threshold)
    kind = cases["kind"].to_numpy()
    kept = np.select([kind == FUNCTIONALITY, kind == INVARIANCE], [right, same], default=right & ~same)
    failed = ~(kept & np.isfinite(probabilities) & np.isfinite(last))
    confidence = 1 - 2 * (1 - CONFIDENCE) / cases["test"].nunique()  # of two sides, so that each has its full share
    tests = {}
    for name, held in cases.groupby("test"):
        count, wrong = len(held), int(failed[held.index].sum())
        estimate = Estimate(wrong / count, *metrics.clopper_pearson(wrong, count, confidence))
        tests[str(name)] = Outcome(str(held["kind"].iloc[0]), count, estimate)
    told = cases.assign(probability=probabilities, changed_probability=changed)[failed]
    return Behaviour(tests, told.reset_index(drop=True))


def _faults(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Say what may be wrong with a case, and where it is."""
    kind, changed = rows["kind"], rows["changed"].fillna("").str.strip() != ""
    return {
        "it names no test": rows["test"].str.strip() == "",
        f"its kind is not {', '.join(KINDS[:-1])} or {KINDS[-1]}": ~kind.isin(KINDS),
        "functionality has no changed text": (kind == FUNCTIONALITY) & changed,
        "a changed text is missing": kind.isin((INVARIANCE, DIRECTION)) & ~changed,
        "its test has cases of another kind": (kind.groupby(rows["test"]).transform("nunique") > 1)
        & (rows["test"].str.strip() != ""),
    }
