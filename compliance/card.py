"""The model card: written from what was measured and recorded, so that it cannot say anything else.

What people say of a model (its uses, whom to ask) is put beside it word for word. When, under which version and by
which run the model was registered stands outside: the card is part of what the model's digest is made of, and
registering the same model again must not change it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance import baseline, power, slices
from compliance.behaviour import Behaviour
from compliance.challenge import Challenge
from compliance.demands import Demand
from compliance.future import Future
from compliance.markdown import bullets, one_line, table
from compliance.metrics import Confusion, Difference, Estimate, Evaluation, Parity
from compliance.schema import SPLITS
from compliance.slices import Bound
from compliance.statements import Statements

WORDS_FOR = {
    "accuracy": "texts labelled rightly",
    "precision": "flagged texts that are non-compliant",
    "noncompliant_recall": "non-compliant texts that are flagged",
    "missed_rate": "non-compliant texts that are passed",
    "f1": "harmonic mean of precision and recall",
    "auc": "area under the ROC curve",
}
SPLIT_LIMITS = {
    "text": "The test texts were drawn at random from the source and share its wording.",
    "group": "The test texts come from groups of `{column}` that training never saw.",
    "time": "The test texts are the latest by `{column}`; training saw earlier ones.",
}
AT_REGISTRATION = (
    "Date, version, build number and run id belong to a registration of this model, and stand in its `DATASHEET.md`: "
    "the model itself is the same whenever and by whomever it is registered."
)


@dataclass(frozen=True)
class Evidence:
    """All that a card is made of.

    Attributes:
        name: The model's name in the registry.
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
        asked: What was asked, beside what was measured.
        operating_point: From where on a text is flagged, and what that costs.
        statements: What people say of the model.
        data: The data report of the prepare phase.
        training: The training report of the train phase.
    """

    name: str
    evaluation: Evaluation
    majority_accuracy: float
    split_leakage: int
    parity: Parity
    calibration_error: Estimate
    against_baseline: Difference
    slice_bounds: Sequence[Bound]
    future: Future | None
    challenge: Challenge | None
    behaviour: Behaviour
    asked: Sequence[Demand]
    operating_point: Mapping[str, Any]
    statements: Statements
    data: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What people call the model, or else its name in the registry."""
        return one_line(self.statements.texts.get("title", self.name))


def model_card(given: Evidence) -> str:
    """Give the model card as Markdown; equal evidence gives equal text."""
    evaluation, data, training, said = given.evaluation, given.data, given.training, given.statements
    sections = {
        f"# {given.title}": _summary(given),
        "## Intended use": _intended_use(said),
        "## Operating point": _operating_point(given.operating_point),
        "## Data": _data(data),
        "## Training": _training(training),
        "## Performance": _performance(evaluation, given.majority_accuracy),
        "## What was asked, and what was shown": _asked(given.asked),
        "## What this test could show": _power(given.asked),
        "## Calibration": _calibration(given.calibration_error, training["calibration"]),
        "## Against a model without a network": _against_baseline(given.against_baseline),
        **({"## Slices": _slices(given.slice_bounds)} if given.slice_bounds else {}),
        "## Checks": _checks(given.split_leakage, given.parity),
        **({"## Challenge sets": _challenge(given.challenge)} if given.challenge else {}),
        "## Behaviour": _behaviour(given.behaviour),
        **({"## After the rules changed": _later(given.future)} if given.future else {}),
        "## Caveats": said["caveats"],
        "## Limits": bullets(limits(given)),
        "## Provenance": _provenance(data, training),
        "## Registration": AT_REGISTRATION,
    }
    return "\n".join(f"{heading}\n\n{text}\n" for heading, text in sections.items())


def datasheet(given: Evidence) -> dict[str, Any]:
    """Give the datasheet of a model, but for what only its registration knows: date, version, build number, run id.

    Returns:
        A text for each field; `limits`, what was measured to bound its use; `not_stated`, the fields that await a text.
    """
    said = given.statements
    own_words = [said.texts["details"]] if "details" in said.texts else []
    derived = ("title", "details")  # of these something is known without anybody's words
    return {
        **{field: said[field] for field in ("contact", "primary_use", "secondary_use", "out_of_scope_use")},
        "title": given.title,
        "details": "\n\n".join([*own_words, _made_of(given), _training(given.training)]),
        "type": given.training["architecture"],
        "data_description": bullets(_data_lines(given.data)),
        "motivation": said["motivation"],
        "caveats": said["caveats"],
        "limits": list(limits(given)),
        "not_stated": [field for field in said.missing if field not in derived],
    }


def _summary(given: Evidence) -> str:
    evaluation = given.evaluation
    own_words = [given.statements.texts["details"]] if "details" in given.statements.texts else []
    measured = (
        f"On {evaluation.confusion.texts:,} distinct test texts: accuracy {evaluation['accuracy']}, "
        f"recall of non-compliant {evaluation['noncompliant_recall']}. In brackets: 95 % intervals."
    )
    return "\n\n".join([*own_words, _made_of(given), measured])


def _made_of(given: Evidence) -> str:
    training = given.training
    return (
        "Labels a text as compliant or non-compliant: one ONNX file takes the raw text and gives the probability of "
        f"non-compliance. Architecture `{training['architecture']}`, {training['weights']:,} trainable weights, "
        f"{training['vocabulary_size']:,} known words."
    )


def _intended_use(said: Statements) -> str:
    fields = {
        "Primary use": "primary_use",
        "Secondary use": "secondary_use",
        "Out of scope": "out_of_scope_use",
        "Motivation": "motivation",
        "Contact": "contact",
    }
    return bullets(f"{words}: {one_line(said[field])}" for words, field in fields.items())


def _operating_point(point: Mapping[str, Any]) -> str:
    cost = f"{point['missed_cost']:g}"
    chosen = (
        f"chosen on validation texts, where passing a non-compliant one costs as much as {cost} false alarms"
        if point["chosen_on_validation"]
        else f"given by hand, in place of the {point['threshold_of_training']:.4g} that training chose"
    )
    return (
        f"From a probability of {point['threshold']:.4g} on, a text is flagged as non-compliant: {chosen}.\n\n"
        f"Counted in false alarms, {cost} for each non-compliant text that is passed, the test texts cost "
        f"{point['cost']:,g}. Flagging all of them would cost {point['cost_of_flagging_all']:,g}, flagging none "
        f"{point['cost_of_flagging_none']:,g}."
    )


def _data(data: Mapping[str, Any]) -> str:
    rows = [
        [split, f"{held['rows']:,}", f"{held['texts']:,}", f"{held['noncompliant_texts']:,}"]
        for split, held in ((split, data["splits"][split]) for split in SPLITS)
    ]
    head = ["split", "rows", "distinct texts", "of them non-compliant"]
    return bullets(_data_lines(data)) + "\n\n" + table(head, rows)


def _data_lines(data: Mapping[str, Any]) -> list[str]:
    counts = data["counts"]
    written = {line["label"]: line["value"] for line in data["labels"]}
    kept, future = data.get("keep"), data.get("future")
    return [
        f"Source: `{data['source']}`, digest of the prepared splits `{data['data_digest']}`.",
        f"Texts from the column `{data['columns']['text']}`, labels from `{data['columns']['label']}`, where "
        f"`{written[1]}` is non-compliant and `{written[0]}` compliant.",
        *([f"Only rows whose `{kept['column']}` is {_listed(kept['values'])}."] if kept else []),
        f"{counts['rows_read']:,} rows read, {counts['rows_rejected']:,} rejected, {counts['rows_set_aside']:,} set "
        + (f"aside, {counts['future_rows']:,} in the future set, " if "future_rows" in counts else "aside, ")
        + f"{counts['rows_kept']:,} kept; they hold {counts['distinct_texts']:,} distinct texts, and "
        f"{counts['noncompliant_share']:.1%} of the rows are non-compliant.",
        *([f"Rejected for: {_reasons(data['rejected'])}."] if data["rejected"] else []),
        *([f"Future set: rows whose `{future['column']}` is {_listed(future['values'])}."] if future else []),
        f"Split by {data['split']['by']}, seed {data['split']['seed']}; no normalized text may stand in two splits.",
    ]


def _listed(values: Iterable[Any]) -> str:
    return " or ".join(f"`{value}`" for value in values)


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
        table(["metric", "estimate", "95 % interval", "share or measure of"], rows)
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
    return table(["truth", "flagged", "passed"], rows)


def _asked(found: Sequence[Demand]) -> str:
    rows = [
        [
            line.what,
            "yes" if line.is_shown else "**no**",
            _measured(line),
            f"{'at most' if line.at_most else 'at least'} {line.bound:.4g}",
            f"{line.texts:,}" if line.texts else "",
        ]
        for line in found
    ]
    return (
        table(["asked for", "shown", "measured", "its cautious end must be", "texts"], rows)
        + "\n\nThe cautious end is the one of the interval that speaks against the model. What depends on the machine, "
        "such as the time of an answer, and the comparison with what production ran, stand in the report of the run."
    )


def _measured(line: Demand) -> str:
    """Give a number with its interval, where it has one."""
    measured = line.measured
    return f"{measured.value:.4g}" if measured.low == measured.high == measured.value else str(measured)


def _power(found: Sequence[Demand]) -> str:
    rows = [[line.sound, f"{line.texts:,}", f"{line.chance:.0%}"] for line in found if line.chance is not None]
    return (
        "A test that is too small stops sound models, too. So likely is it that one is shown to be sound here:\n\n"
        + table(["a model that really", "texts", "chance"], rows)
        + f"\n\nBelow {power.WANTED:.0%}, more test texts are worth more than a better model."
    )


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
    found = slices.bounds_table(list(bounds)).reset_index()
    return "Each lower end is taken at its level of Holm's procedure. The least certain come first.\n\n" + table(
        list(found.columns), found.to_numpy().tolist()
    )


def _challenge(challenge: Challenge) -> str:
    found = challenge.table().reset_index()
    return (
        "Each asks for one thing that training did not show. The intervals hold, at 95 %, for all sets together.\n\n"
        + table(list(found.columns), found.to_numpy().tolist())
    )


def _behaviour(behaviour: Behaviour) -> str:
    found = behaviour.table().reset_index()
    return (
        "Functionality: a text that must have its label. Invariance: a change that must not change the answer. "
        "Direction: a change that must flip it. The upper ends hold, at 95 %, for all tests together.\n\n"
        + table(list(found.columns), found.to_numpy().tolist())
    )


def _later(future: Future) -> str:
    rows = [
        [name, str(future.every[name]), str(future.unseen[name])]
        for name in ("accuracy", "precision", "noncompliant_recall")
    ]
    return (
        f"{future.every.confusion.texts:,} distinct texts follow later rules than those this model was made under; "
        f"{future.shared:,} of them stand in its splits, {len(future.changed):,} of these with another label.\n\n"
        + table(["metric", "on all of them", "on those it had never seen"], rows)
        + "\n\nIn brackets: 95 % intervals. No gate looked at these figures."
    )


def _checks(split_leakage: int, parity: Parity) -> str:
    return bullets(
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


def limits(given: Evidence) -> Iterable[str]:
    """Give what bounds the use of the model, the gravest first: what was measured, and what was not."""
    evaluation, training, data = given.evaluation, given.training, given.data
    confusion = evaluation.confusion
    if given.split_leakage:
        yield f"**{given.split_leakage:,} test texts were seen before: the figures prove nothing.**"
    if not evaluation["accuracy"].low >= given.majority_accuracy:
        yield "**Not shown to be better than always giving the commonest label.**"
    if math.isfinite(missed := evaluation["missed_rate"].high):
        yield (
            f"{confusion.noncompliant:,} non-compliant texts were tested and {confusion.missed:,} of them passed: the "
            f"share passed in use may be up to {missed:.2%} (upper end of the 95 % interval)."
        )
    for line in given.asked:
        if line.is_small:
            yield (
                f"**The test is small: a model that really {line.sound} is shown to be so with a chance of "
                f"{line.chance:.0%}.**"
            )
    drawn = SPLIT_LIMITS[data["split"]["by"]].format(column=data["split"]["column"])
    asked_for = "is told by the challenge sets alone" if given.challenge else "was not measured"
    yield f"{drawn} How the model does on what the source lacks {asked_for}."
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
    return table(["what", "value"], [[name, f"`{value}`"] for name, value in facts.items()])


def _value(estimate: Estimate) -> str:
    return "not defined" if math.isnan(estimate.value) else f"{estimate.value:.4f}"


def _interval(estimate: Estimate) -> str:
    return "not defined" if math.isnan(estimate.low) else f"{estimate.low:.4f} to {estimate.high:.4f}"
