"""The model card: written from what was measured and recorded, so that it cannot say anything else."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compliance import baseline, slices
from compliance.behaviour import Behaviour
from compliance.challenge import Challenge
from compliance.future import Future
from compliance.metrics import Confusion, Difference, Estimate, Evaluation, Parity
from compliance.schema import SPLITS
from compliance.slices import Bound

WORDS_FOR = {
    "accuracy": "texts labelled rightly",
    "precision": "flagged texts that are non-compliant",
    "noncompliant_recall": "non-compliant texts that are flagged",
    "missed_rate": "non-compliant texts that are passed",
    "f1": "harmonic mean of precision and recall",
    "auc": "area under the ROC curve",
}
SPLIT_LIMITS = {
    "text": "The test texts were drawn at random from the source and share its wording, its years and its parts. How "
    "the model does on what the source lacks was not measured.",
    "group": "The test texts come from groups of `{column}` that training never saw. Other changes were not measured.",
    "time": "The test texts are the latest by `{column}`; training saw earlier ones. Later changes were not measured.",
}


def model_card(  # noqa: PLR0913  a card is the place where everything comes together
    *,
    name: str,
    threshold: float,
    evaluation: Evaluation,
    majority_accuracy: float,
    split_leakage: int,
    parity: Parity,
    calibration_error: Estimate,
    against_baseline: Difference,
    slice_bounds: Sequence[Bound],
    future: Future | None,
    challenge: Challenge | None,
    behaviour: Behaviour,
    data: Mapping[str, Any],
    training: Mapping[str, Any],
) -> str:
    """Give the model card as Markdown; equal evidence gives equal text.

    Args:
        name: The model's name in the registry.
        threshold: Probability from which a text is non-compliant.
        evaluation: What was measured on the distinct texts of the test split.
        majority_accuracy: Accuracy there of always giving the commonest training label.
        split_leakage: Test texts that training or validation hold, too.
        parity: The exported file against the Keras network.
        calibration_error: How far promise and outcome lie apart on average.
        against_baseline: The model against one without a network, at even odds.
        slice_bounds: What is shown of every slice, the least certain last.
        future: What was measured on rows from after the rules changed, where there are any.
        challenge: What was measured on challenge sets, where there are any.
        behaviour: What came of behavioural tests.
        data: The data report of the prepare phase.
        training: The training report of the train phase.
    """
    sections = {
        f"# {name}": _summary(evaluation, training),
        "## Intended use": _intended_use(threshold, training),
        "## Data": _data(data),
        "## Training": _training(training),
        "## Performance": _performance(evaluation, majority_accuracy),
        "## Calibration": _calibration(calibration_error, training["calibration"]),
        "## Against a model without a network": _against_baseline(against_baseline),
        **({"## Slices": _slices(slice_bounds)} if slice_bounds else {}),
        "## Checks": _checks(split_leakage, parity),
        **({"## Challenge sets": _challenge(challenge)} if challenge else {}),
        "## Behaviour": _behaviour(behaviour),
        **({"## After the rules changed": _later(future)} if future else {}),
        "## Limits": _bullets(_limits(evaluation, majority_accuracy, split_leakage, data, training)),
        "## Provenance": _provenance(data, training),
    }
    return "\n".join(f"{heading}\n\n{text}\n" for heading, text in sections.items())


def _summary(evaluation: Evaluation, training: Mapping[str, Any]) -> str:
    return (
        "Labels the description of a vehicle component as compliant or non-compliant. One ONNX file takes the raw text "
        f"and gives the probability of non-compliance. Architecture `{training['architecture']}`, "
        f"{training['weights']:,} trainable weights, {training['vocabulary_size']:,} known words.\n\n"
        f"On {evaluation.confusion.texts:,} distinct test texts: accuracy {evaluation['accuracy']}, "
        f"recall of non-compliant {evaluation['noncompliant_recall']}. In brackets: 95 % intervals."
    )


def _intended_use(threshold: float, training: Mapping[str, Any]) -> str:
    chosen = threshold == training["threshold"]
    return _bullets(
        [
            "Primary use: to flag descriptions for a technician to check. From a probability of "
            f"{threshold:.4g} on, the label is non-compliant: "
            + (
                "chosen on validation texts, where passing a non-compliant one costs as much as "
                f"{training['missed_cost']:g} false alarms."
                if chosen
                else f"given by hand, in place of the {training['threshold']:.4g} that training chose."
            ),
            "Users: technicians and the applications that serve them. A person decides; the model proposes.",
            "Out of scope: deciding without a person; other languages, other kinds of text, and regulations other than "
            "those the labels follow.",
        ]
    )


def _data(data: Mapping[str, Any]) -> str:
    counts = data["counts"]
    lines = [
        f"Source: `{data['source']}`, digest of the prepared splits `{data['data_digest']}`.",
        f"{counts['rows_read']:,} rows read, {counts['rows_rejected']:,} rejected, {counts['rows_set_aside']:,} set "
        + (f"aside, {counts['future_rows']:,} in the future set, " if "future_rows" in counts else "aside, ")
        + f"{counts['rows_kept']:,} kept; they hold {counts['distinct_texts']:,} distinct texts.",
        *([f"Rejected for: {_reasons(data['rejected'])}."] if data["rejected"] else []),
        f"Split by {data['split']['by']}, seed {data['split']['seed']}; no normalized text may stand in two splits.",
    ]
    rows = [
        [split, f"{held['rows']:,}", f"{held['texts']:,}", f"{held['noncompliant_texts']:,}"]
        for split, held in ((split, data["splits"][split]) for split in SPLITS)
    ]
    return _bullets(lines) + "\n\n" + _table(["split", "rows", "distinct texts", "of them non-compliant"], rows)


def _reasons(rejected: Mapping[str, int]) -> str:
    return "; ".join(f"{reason} ({count:,})" for reason, count in sorted(rejected.items(), key=lambda item: -item[1]))


def _training(training: Mapping[str, Any]) -> str:
    chosen = ", ".join(f"{name} {value}" for name, value in training["hyperparameters"].items())
    return (
        f"Keras network trained with seed {training['seed']} ({chosen}). {training['epochs_run']} epochs ran; the "
        f"weights of epoch {training['best_epoch']} were kept, which has the lowest validation loss "
        f"({training['validation_loss']:.4f})."
    )


def _performance(evaluation: Evaluation, majority_accuracy: float) -> str:
    rows = [
        [name, _value(estimate), _interval(estimate), WORDS_FOR[name]]
        for name, estimate in evaluation.estimates.items()
    ]
    return (
        _table(["metric", "estimate", "95 % interval", "share or measure of"], rows)
        + "\n\nProportions have Wilson's intervals, the missed rate the exact one, F1 and AUC percentile bootstrap "
        + "ones; all count distinct texts. "
        + f"Always giving the commonest training label would reach an accuracy of {majority_accuracy:.4f}.\n\n"
        + _confusion(evaluation.confusion)
    )


def _confusion(confusion: Confusion) -> str:
    rows = [
        ["non-compliant", f"{confusion.caught:,}", f"{confusion.missed:,}"],
        ["compliant", f"{confusion.false_alarms:,}", f"{confusion.passed:,}"],
    ]
    return _table(["truth", "flagged", "passed"], rows)


def _calibration(error: Estimate, correction: Mapping[str, Any]) -> str:
    fitted = (
        f"The log-odds of the network were multiplied by {correction['slope']:.3f}, fitted on {correction['texts']:,} "
        "distinct validation texts; the exported file holds the result."
        if correction["texts"]
        else "Nothing was corrected: the probabilities are as training left them."
    )
    return f"{fitted} On test texts, promise and outcome lie apart by {error} on average."


def _against_baseline(difference: Difference) -> str:
    told = "is shown to be better" if difference.accuracy.low > 0 else "is **not shown to be better**"
    return (
        f"At even odds, accuracy minus that of {baseline.NAME}, which learned from the same texts: "
        f"{difference.accuracy}. Only this model is right on {difference.only_first_right:,} texts, only the other on "
        f"{difference.only_second_right:,}. The network {told}."
    )


def _slices(bounds: Sequence[Bound]) -> str:
    table = slices.bounds_table(list(bounds)).reset_index()
    return "The lower ends hold, at 95 %, for all slices together. The least certain come first.\n\n" + _table(
        list(table.columns), table.to_numpy().tolist()
    )


def _challenge(challenge: Challenge) -> str:
    table = challenge.table().reset_index()
    return (
        "Each asks for one thing that training did not show. The intervals hold, at 95 %, for all sets together.\n\n"
        + _table(list(table.columns), table.to_numpy().tolist())
    )


def _behaviour(behaviour: Behaviour) -> str:
    table = behaviour.table().reset_index()
    return (
        "Functionality: a text that must have its label. Invariance: a change that must not change the answer. "
        "Direction: a change that must flip it. The upper ends hold, at 95 %, for all tests together.\n\n"
        + _table(list(table.columns), table.to_numpy().tolist())
    )


def _later(future: Future) -> str:
    rows = [
        [name, str(future.every[name]), str(future.unseen[name])]
        for name in ("accuracy", "precision", "noncompliant_recall")
    ]
    return (
        f"{future.every.confusion.texts:,} distinct texts follow later rules than those this model was made under; "
        f"{future.shared:,} of them stand in its splits, {len(future.changed):,} of these with another label.\n\n"
        + _table(["metric", "on all of them", "on those it had never seen"], rows)
        + "\n\nIn brackets: 95 % intervals. No gate looked at these figures."
    )


def _checks(split_leakage: int, parity: Parity) -> str:
    return _bullets(
        [
            f"Test texts that training or validation hold, too: {split_leakage:,}.",
            f"The exported file against Keras on {parity.texts:,} test texts: {parity.label_flips:,} labels differ, "
            f"largest difference of probability {_parity_bound(parity)}.",
        ]
    )


def _parity_bound(parity: Parity) -> str:
    """Give the difference as a bound: its last digits depend on the processor, and the card must not."""
    if math.isnan(parity.maximum_difference):
        return "not defined"
    bounds = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    found = next((bound for bound in bounds if parity.maximum_difference <= bound), None)
    return f"at most {found:g}" if found else f"{parity.maximum_difference:.4f}"


def _limits(
    evaluation: Evaluation,
    majority_accuracy: float,
    split_leakage: int,
    data: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Iterable[str]:
    confusion = evaluation.confusion
    if split_leakage:
        yield f"**{split_leakage:,} test texts were seen before: the figures above prove nothing.**"
    if not evaluation["accuracy"].low >= majority_accuracy:
        yield "**Not shown to be better than always giving the commonest label.**"
    if math.isfinite(missed := evaluation["missed_rate"].high):
        yield (
            f"{confusion.noncompliant:,} non-compliant texts were tested and {confusion.missed:,} of them passed: the "
            f"share passed in use may be up to {missed:.2%} (upper end of the 95 % interval)."
        )
    yield SPLIT_LIMITS[data["split"]["by"]].format(column=data["split"]["column"])
    yield (
        f"Only the first {training['tokens']} words of a text are read, of letters a to z and digits, in lower case; "
        f"all words outside the {training['vocabulary_size']:,} known ones are one and the same to the network."
    )
    if not training["calibration"]["texts"]:
        yield "**Probabilities were not calibrated.**"


def _provenance(data: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    facts = {
        "source": data["source"],
        "sha256 of the source": data["source_sha256"] or "generated",
        "data digest": data["data_digest"],
        "seed": training["seed"],
        **{f"{library} version": version for library, version in training["versions"].items()},
    }
    return _table(["what", "value"], [[name, f"`{value}`"] for name, value in facts.items()])


def _value(estimate: Estimate) -> str:
    return "not defined" if math.isnan(estimate.value) else f"{estimate.value:.4f}"


def _interval(estimate: Estimate) -> str:
    return "not defined" if math.isnan(estimate.low) else f"{estimate.low:.4f} to {estimate.high:.4f}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
