"""The rules of `prepare`, written for rows that fit into memory: what the chunks must come to, too."""

import hashlib

import numpy as np
import pandas as pd

from compliance.schema import SPLITS
from compliance.splitting import NUMBERS, SplitPlan, moments


def conflicting(rows: pd.DataFrame) -> pd.Series:
    """Mark rows whose text stands with both labels."""
    return rows.groupby("normalized")["label"].transform("nunique") > 1


def split(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    """Give each row its split, or "left out"; rows have `normalized`, `label` and `by`, and no conflicts."""
    found = {"text": by_text, "group": by_group, "time": by_time}[plan.by](rows, plan)
    position = found.map({name: number for number, name in enumerate(SPLITS)})
    return found.where(position == position.groupby(rows["normalized"]).transform("min"), "left out")


def by_text(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    texts = rows.drop_duplicates("normalized")[["normalized", "label"]]
    counts = texts["label"].value_counts()
    keys = [draw(text, plan.seed) for text in texts["normalized"]]
    texts = texts.assign(key=keys).sort_values(["key", "normalized"])
    place = texts.groupby("label").cumcount()
    size = texts["label"].map(counts)
    test = (size * plan.test_share).round().clip(lower=1)
    validation = (size * plan.validation_share).round().clip(lower=1)
    validation = np.minimum(validation, size - test - 1).clip(lower=1)
    test = np.minimum(test, size - validation - 1)
    names = np.select([place < test, place < test + validation], ["test", "validation"], "train")
    return rows["normalized"].map(pd.Series(names, index=texts["normalized"]))


def by_group(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    block = blocks(rows)
    texts = rows.assign(block=block).groupby("block")["normalized"].nunique()
    first_group = rows["by"].groupby(block).min()
    order = sorted(texts.index, key=lambda number: (draw(first_group[number], plan.seed), first_group[number]))

    total = int(texts.sum())
    target = {"test": plan.test_share * total, "validation": plan.validation_share * total}
    held = dict.fromkeys(target, 0)
    places = {}
    for number in order:
        name = max(target, key=lambda split: target[split] - held[split])
        if held[name] + texts[number] / 2 <= target[name]:  # nearer to the target with this block than without
            places[number] = name
            held[name] += texts[number]
        else:
            places[number] = "train"
    return block.map(places)


def blocks(rows: pd.DataFrame) -> pd.Series:
    """Number the sets of groups that must stay together: groups that share a text, directly or through others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    groups, texts = (pd.factorize(rows[column])[0] for column in ("by", "normalized"))
    first_text = groups.max() + 1
    nodes = first_text + texts.max() + 1
    links = coo_matrix((np.ones(len(rows), dtype=np.int8), (groups, first_text + texts)), shape=(nodes, nodes))
    _, component = connected_components(links, directed=False)
    return pd.Series(component[groups], index=rows.index)


def by_time(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    times = moments(rows["by"], NUMBERS)
    # share of the rows up to and including each moment; rows of one moment stay together
    share = times.value_counts().sort_index().cumsum() / len(times)
    first = min(nearest(share, 1 - plan.validation_share - plan.test_share), len(share) - 3)
    second = min(max(nearest(share, 1 - plan.test_share), first + 1), len(share) - 2)
    names = np.select([times <= share.index[first], times <= share.index[second]], ["train", "validation"], "test")
    return pd.Series(names, index=rows.index)


def nearest(share: pd.Series, wanted: float) -> int:
    return int(np.abs(share.to_numpy() - wanted).argmin())


def draw(name: str, seed: int) -> bytes:
    """Give a text or group its place in the order that a seed means; the same on every machine."""
    return hashlib.blake2b(name.encode(), digest_size=8, key=str(seed).encode()).digest()
