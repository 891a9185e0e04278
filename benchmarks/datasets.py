"""What architectures are compared on: texts to learn from, and sets of distinct texts that ask for one thing each."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from sklearn.model_selection import train_test_split

from benchmarks.resampled import TEST_SHARE
from compliance import metrics, wording
from compliance.generators import GENERATORS
from compliance.model import TrainingPlan
from compliance.text import normalize_all

PARAMS = Path(__file__).resolve().parents[1] / "params"
TEST = "test"
CHALLENGE_TEXTS = 8_000  # in all four sets, as the evaluate notebook asks for
EARLIER, LATER = "train", "test"  # what the column `split` of the mot file says of rules before 2018, and of 2018


@dataclass(frozen=True)
class DataSet:
    """What a model learns from and is asked.

    Attributes:
        plan: How networks are trained on it, by its params file.
        training: Rows with `text`, `normalized` and `label` (1 is non-compliant).
        validation: Rows to choose the epoch by.
        asked: Distinct texts of each set; none of them was learned from, unless its name says so.
        told: Where the texts come from.
    """

    plan: TrainingPlan
    training: pd.DataFrame
    validation: pd.DataFrame
    asked: dict[str, pd.DataFrame]
    told: str

    @property
    def learned(self) -> pd.DataFrame:
        """Give the distinct texts that a model without epochs may learn from."""
        return metrics.distinct_texts(pd.concat([self.training, self.validation], ignore_index=True))


def settings(*files: str) -> dict[str, dict]:
    """Give what params files say of each phase, the later ones on top."""
    found: dict[str, dict] = {}
    for file in files:
        for phase, values in yaml.safe_load((PARAMS / file).read_text(encoding="utf-8")).items():
            found[phase] = found.get(phase, {}) | values
    return found


def planned(chosen: dict[str, dict], seed: int) -> TrainingPlan:
    """Give the training plan that params files describe; what else they say of the phase is left out."""
    names = TrainingPlan.__dataclass_fields__.keys() - {"seed"}
    return TrainingPlan(**{name: value for name, value in chosen["train"].items() if name in names}, seed=seed)


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows as networks take them, without texts that hold no word or stand with both labels."""
    rows = rows.assign(normalized=normalize_all(rows["text"]), label=rows["label"].astype("int8"))
    once = rows.groupby("normalized")["label"].transform("nunique") == 1
    return rows[once & (rows["normalized"] != "")].reset_index(drop=True)


def divided(rows: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Give training and validation rows and distinct test texts; no text stands in two of them."""
    texts = metrics.distinct_texts(rows)
    learned, test = train_test_split(texts, test_size=TEST_SHARE, stratify=texts["label"], random_state=seed)
    training, validation = train_test_split(learned, test_size=len(test), stratify=learned["label"], random_state=seed)
    parts = [rows[rows["normalized"].isin(part["normalized"])] for part in (training, validation)]
    return parts[0].reset_index(drop=True), parts[1].reset_index(drop=True), test.reset_index(drop=True)


def unseen(asked: pd.DataFrame, *known: pd.DataFrame) -> pd.DataFrame:
    """Give the distinct texts that stand in none of the known rows."""
    texts = metrics.distinct_texts(asked)
    return texts[~texts["normalized"].isin(pd.concat(known)["normalized"])].reset_index(drop=True)


def connected_car(seed: int) -> DataSet:
    """Give the plain descriptions; years that the harder ones never name are kept aside, and asked by themselves."""
    chosen = settings("default.yaml")
    rows = prepared(GENERATORS["connected-car"](chosen["prepare"]["rows"], seed))
    named = rows["text"].map(lambda text: int(re.findall(r"\d{4}", text)[0]))
    apart = named.isin(wording.HELD_OUT_YEARS)
    training, validation, test = divided(rows[~apart], seed)
    told = (
        f"{len(rows):,} generated descriptions, params/default.yaml; `years` are {len(wording.HELD_OUT_YEARS)} years "
    )
    return DataSet(
        planned(chosen, seed),
        training,
        validation,
        {TEST: test, wording.UNSEEN_YEARS: metrics.distinct_texts(rows[apart])},
        told + f"that no text to learn from names. Seed {seed}",
    )


def connected_car_hard(seed: int, challenge_seed: int, rows: int | None = None) -> DataSet:
    """Give the harder descriptions and their challenge sets."""
    chosen = settings("default.yaml", "hard.yaml")
    made = prepared(GENERATORS["connected-car-hard"](rows or chosen["prepare"]["rows"], seed))
    training, validation, test = divided(made, seed)
    challenges = prepared(GENERATORS["connected-car-challenges"](CHALLENGE_TEXTS, challenge_seed))
    sets = {name: unseen(challenges[challenges["set"] == name], made) for name in wording.CHALLENGES}
    told = (
        f"{len(made):,} generated descriptions, params/hard.yaml. Seed {seed}, of the challenge sets {challenge_seed}"
    )
    return DataSet(planned(chosen, seed), training, validation, {TEST: test, **sets}, told)


def mot_texts(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the distinct texts of the rules before 2018, and those of 2018."""
    rows = pd.read_csv(path, usecols=["text", "label", "split"], dtype=str, keep_default_na=False)
    return tuple(  # type: ignore[return-value]
        metrics.distinct_texts(prepared(rows[rows["split"] == regime])) for regime in (EARLIER, LATER)
    )


def mot(path: Path, seed: int) -> DataSet:
    """Give the wording of vehicle inspections: learned from the rules before 2018, asked by these and those of 2018."""
    earlier, later = mot_texts(path)
    training, validation, test = divided(earlier, seed)
    fresh = unseen(later, earlier)
    told = (
        f"{len(earlier):,} distinct texts of the rules before 2018, params/mot.yaml. `2018` are all texts of the rules "
        f"of 2018; `2018, new texts` are those that the rules before did not have. Seed {seed}"
    )
    chosen = settings("default.yaml", "mot.yaml")
    sets = {TEST: test, "2018": later, "2018, new texts": fresh}
    return DataSet(planned(chosen, seed), training, validation, sets, told)
