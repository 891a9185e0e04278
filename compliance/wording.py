"""The words of the harder connected-car descriptions: clauses, their orders, and what fills them.

A clause is a template, and its id is its kind and its place: `material/3`. In a clause {m}, {c} and {y} are the
component's own material, condition and year; {x} is a value of the same kind that decides nothing, because it is denied
or belongs to something else. {month} and {date} are of {y}; {xmonth} and {xdate} of {x}.

The challenge sets are written with clauses and orders that training never draws. They are made of words that training
knows, since what a word means that nobody ever explained is beyond any model; only the facts beside are in new words.
"""

from itertools import permutations

PHRASING, UNSEEN_YEARS, NEGATION, TYPOS = "phrasing", "years", "negation", "typos"
CHALLENGES = (PHRASING, UNSEEN_YEARS, NEGATION, TYPOS)
STATED = ("material", "condition", "year")

# Never named in training, neither as a year of manufacture nor as another. 1994 and 1995 are: between them the rule
# changes, and no example could tell a model where in a gap of years it does.
HELD_OUT_YEARS = (1971, 1974, 1978, 1983, 1985, 1989, 1992, 1997, 2000, 2003, 2008, 2011, 2014, 2017)

PARTS = (
    "bracket", "housing", "door panel", "lever", "cover", "manifold", "pulley", "hinge", "battery tray", "mount",
    "crossmember", "mirror cap", "valve body", "bumper beam", "seat frame", "fuel flap",
)  # fmt: skip
COLOURS = ("black", "grey", "silver", "white", "red", "blue")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
JOINTS = (", ", " ", ", ", "; ")  # between clauses
SECONDS = ("; ", ", with a second part: ", " and ", ", plus ")  # between components

ORDERS = tuple(permutations(("part", *STATED)))
UNSEEN_ORDERS = ORDERS[2::3]  # a third of them, for the sets of new phrasing and negation
TRAINING_ORDERS = tuple(order for order in ORDERS if order not in UNSEEN_ORDERS)

TRAINING_CLAUSES: dict[str, tuple[str, ...]] = {
    "material": (
        "made of {m}", "{m} construction", "of {m}", "material: {m}", "built from {m}", "body in {m}", "a {m} piece",
        "manufactured from {m}", "{m}", "all {m}", "solid {m}", "material used is {m}", "{m} design", "the body is {m}",
        "in {m}", "with a {m} body", "constructed of {m}", "{m} version",
    ),
    "material denied": (
        "not made of {x} but of {m}", "made of {m} instead of {x}", "no {x}, only {m}", "free of {x}, made of {m}",
        "{m} rather than {x}", "without any {x}, body in {m}", "contains no {x}, material: {m}", "of {m}, not {x}",
        "not {x}: {m}", "not {x} construction, built from {m}", "without {x}, {m} construction", "of {m} without {x}",
        "is {m}, not {x}", "not of {x}, a {m} piece", "built from {m}, not from {x}", "not a {x} piece but {m}",
        "body in {m}, free of {x}", "not any {x}, only {m}", "instead of {x} made of {m}", "no {x} but {m}",
        "without {x}: {m}", "without {x} in it, all {m}", "free of {x}, solid {m}", "not in {x}, in {m}",
    ),
    "condition": (
        "in {c} condition", "{c} condition", "condition {c}", "condition: {c}", "rated {c}", "graded as {c}",
        "found to be {c}", "{c}", "is {c}", "condition of the part is {c}", "now {c}", "still {c}", "found {c}",
        "state of the part: {c}", "in a {c} state", "part is in {c} condition", "{c} when checked", "assessed as {c}",
    ),
    "condition denied": (
        "not in {x} condition but {c}", "condition {c}, not {x}", "no longer {x}, now {c}", "{c} rather than {x}",
        "not {x}, rated {c}", "condition is not {x}: {c}", "not {x} but {c}", "in {c} condition, not in {x}",
        "{c} instead of {x}", "no longer in {x} condition but in {c} condition", "not graded as {x} but as {c}",
        "not found to be {x}, found to be {c}",
    ),
    "year": (
        "manufactured in {y}", "made in {y}", "built {month} {y}", "produced {date}", "year of manufacture {y}",
        "manufactured on {date}", "date of manufacture: {date}", "produced in {y}", "{y}", "{y} model", "part of {y}",
        "from {y}", "manufactured {y}", "the year is {y}", "made {month} {y}", "production date {date}",
        "{y} production", "was made in {y}",
    ),
    "year denied": (
        "not manufactured in {x} but in {y}", "made in {y}, not {x}", "produced in {y} instead of {x}",
        "not built in {x}, built in {y}", "produced in {y}, not in {x}", "instead of {x} made in {y}",
        "not {x}: manufactured in {y}", "not {x} but {y} is the year of manufacture", "built in {y} rather than {x}",
        "year of manufacture {y}, not {x}", "not made in {x}: made in {y}", "not manufactured on {xdate} but on {date}",
        "not produced in {xmonth} {x} but in {month} {y}",
        "not from {x} but from {y}", "not the {x} model, the {y} model", "no {x} production, {y} production",
    ),
    "other material": (
        "packed in a {x} crate", "stored on {x} shelves", "next to the {x} rail", "wrapped in {x} foil",
        "fits {x} housings", "delivered in a {x} box",
    ),
    "other condition": (
        "packaging in {x} condition", "documents in {x} condition", "label condition {x}", "crate rated {x}",
    ),
    "other year": (
        "inspected in {x}", "inspected on {xdate}", "delivered {xmonth} {x}", "catalogue of {x}", "drawing from {x}",
        "listed since {x}",
    ),
    "fact": (
        "weighs {n} kg", "length {n} mm", "serial no {s}", "colour {colour}", "qty {n}", "torque {n} Nm",
        "{n} x {n} cm", "to be checked", "see page {n}", "ordered by phone", "bin {n}", "sample",
    ),
}  # fmt: skip
# By challenge set; kinds that are not named here are worded as in training.
UNSEEN_CLAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    PHRASING: {
        "material": (
            "built of {m}", "{m} is the material", "material is {m}", "body made of {m}", "built with a {m} body",
            "made in {m}", "{m} part",
        ),
        "condition": (
            "condition is {c}", "rated as {c}", "found in {c} condition", "graded {c}", "{c} is the condition",
            "is in {c} condition",
        ),
        "year": (
            "built in {y}", "manufactured {month} {y}", "made on {date}", "manufacture {date}",
            "was produced on {date}", "built {date}", "{y} is the year of manufacture",
        ),
        "fact": ("please note", "as discussed", "see attachment {n}", "for the record", "priority {n}", "urgent"),
    },
    NEGATION: {
        "material denied": (
            "not of {x} but made of {m}", "body in {m} instead of {x}", "contains no {x}, only {m}", "no {x}: {m}",
            "free of any {x}, of {m}", "built from {m} rather than {x}", "is not {x} but {m}",
            "without {x}, made of {m}", "not built from {x} but from {m}", "a {m} piece without any {x}",
        ),
        "condition denied": (
            "not {x} but in {c} condition", "rated {c}, not {x}", "not rated {x}: condition {c}",
            "in {c} rather than {x} condition", "no longer in {x} condition, rated {c}",
        ),
        "year denied": (
            "made in {y} instead of {x}", "not made in {x} but in {y}", "manufactured in {y}, not in {x}",
            "not produced in {x}: produced in {y}",
        ),
    },
}  # fmt: skip
