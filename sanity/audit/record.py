"""Record: what an audit measured, in the order of the sources that ask for it, as evidence for whoever writes the record.

Every field is measured, from the sheet, or TO BE WRITTEN BY A PERSON. The last ones stay empty until a person has written them
in the sheet under [record]. The record is no legal advice and states no conformity.
"""

import hashlib
import json
import math
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.refusal import Refused
from lab.registry import nearest
from sanity.audit.small_counts import FEWEST
from sanity.audit.sources import MEMORY, MOVING, PUBLISHED, SECONDARY, SOURCES
from sanity.checks import checks
from sanity.verdict import FORBIDDEN

VERSION = 1
BY_PERSON = "TO BE WRITTEN BY A PERSON"
NOTICE = "This record is evidence. It is no legal advice and states no conformity. Fields that a person writes are counted and left empty."
WITHOUT_NUMBERS = "its number is left out, since it has no interval or rests on a few rows"
# Words that no sentence of an audit contains.
FORBIDDEN_WORDS = (
    *FORBIDDEN,
    *("fair", "unbiased", "compliant", "safe", "robust", "discriminates", "causes", "caused by"),
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Part):
    """A number with its interval."""

    value: float
    low: float
    high: float


class Finding(_Part):
    """What one verdict says, with what it rests on. n, rows or units, is empty where it is below ten."""

    check: str
    about: str
    outcome: str
    finding: str
    estimate: Estimate | None = None
    n: int | None = None
    units: int | None = None
    seed: int | None = None
    digest: str
    sentence: str
    cannot: str


class Count(_Part):
    """Something counted or read off. The value is empty for a count below ten that is not zero."""

    name: str
    value: int | float | str | None
    digest: str


class Measured(_Part):
    """A field that the audit filled."""

    kind: Literal["measured"] = "measured"
    name: str
    findings: tuple[Finding, ...] = ()
    counts: tuple[Count, ...] = ()


class Stated(_Part):
    """A field from the sheet."""

    kind: Literal["from the sheet"] = "from the sheet"
    name: str
    text: str


class ByPerson(_Part):
    """A field that a person writes in the sheet, under [record] with its key."""

    kind: Literal["to be written by a person"] = "to be written by a person"
    name: str
    key: str
    text: str = ""


class Status(_Part):
    """What is known of a source, and how."""

    text: str
    basis: Literal[PUBLISHED, SECONDARY, MEMORY]
    read_by: str


class Section(_Part):
    """One source with what it asks for."""

    source: str
    asks: str
    status: tuple[Status, ...]
    fields: tuple[Annotated[Measured | Stated | ByPerson, Field(discriminator="kind")], ...]
    not_claimed: tuple[str, ...]


class Record(_Part):
    """The record of one audit."""

    version: Literal[1] = VERSION
    title: str
    audited_on: str
    notice: str
    digest: str
    sections: tuple[Section, ...]
    moving: tuple[Status, ...]
    to_be_written: int
    written_by_persons: dict[str, str]


def record_schema():
    """The JSON schema of a record: dict, as kept in record.schema.json."""
    return Record.model_json_schema()


def person_keys():
    """The fields that a person writes, by their key in the sheet: dict of key to name."""
    every = (part for source in SOURCES for part in source["fields"])
    return {part["key"]: part["name"] for part in every if part["kind"] == "person"}


def record(verdicts, subject_facts, sheet):
    """The record of an audit.

    Args:
        verdicts: list of `sanity.verdict.Verdict`.
        subject_facts: dict, as of `sanity.audit.facts.subject_facts`.
        sheet: `sanity.audit.sheet.Sheet`.

    Returns:
        dict of plain values, as `Record` has them.

    Raises:
        Refused: for text of a person in the sheet whose field does not exist.
    """
    known = person_keys()
    for key in sheet.record:
        if key not in known:
            raise Refused(f"Fields of a record are {', '.join(known)}. Received: {key!r}. {nearest(key, known)}")
    digest = _digest([subject_facts["sets"], subject_facts["model"]])
    findings = [(_question(verdict), _finding(verdict, digest)) for verdict in verdicts]
    sections = [_section(source, findings, subject_facts, sheet, digest) for source in SOURCES]
    fields = [part for section in sections for part in section.fields]
    return Record(
        title=subject_facts["title"],
        audited_on=subject_facts["audited_on"],
        notice=NOTICE,
        digest=digest,
        sections=sections,
        moving=MOVING,
        to_be_written=sum(isinstance(part, ByPerson) and not part.text for part in fields),
        written_by_persons={key: _digest(text) for key, text in sheet.record.items() if text},
    ).model_dump(mode="json")


def _digest(values):
    return hashlib.blake2b(json.dumps(values, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def _question(verdict):
    return checks.tag(checks.get(verdict.check), "question") if verdict.check in checks else ""


def _finding(verdict, digest):
    effect, rows, seed = verdict.effect, verdict.sizes.get("rows"), verdict.settings.get("seed")
    numbers = [float(number) for number in (effect.mean, effect.low, effect.high)]
    is_estimate = all(map(math.isfinite, numbers)) and _large(rows) is not None
    # A number without an interval, or of a few rows, is not put on record.
    is_open = not is_estimate and verdict.outcome != "INVALID"
    sentence = f"{verdict.finding}: {WITHOUT_NUMBERS}." if is_open else verdict.sentence
    return Finding(
        check=verdict.check,
        about=verdict.method,
        outcome=verdict.outcome,
        finding=verdict.finding,
        estimate=Estimate(value=numbers[0], low=numbers[1], high=numbers[2]) if is_estimate else None,
        n=_large(rows),
        units=_large(verdict.sizes.get("units")),
        seed=seed,
        digest=_digest([digest, verdict.check, verdict.method, verdict.outcome, verdict.finding, numbers, rows, seed]),
        sentence=hide_small_counts(sentence),
        cannot=verdict.cannot,
    )


def _large(count):
    return count if count is None or count == 0 or count >= FEWEST else None


def hide_small_counts(text):
    """A sentence in which counts of one to nine rows or persons are "under 10": str."""
    text = re.sub(r"\bn = [1-9]\b(?![.,]?\d)", f"n under {FEWEST}", text)
    nouns = r"rows?|units?|persons?|people|patients?|cases?"
    return re.sub(rf"(?<![\d.,])\b[1-9] (?={nouns}\b)", f"under {FEWEST} ", text)


def _section(source, findings, facts, sheet, digest):
    fields = [_field(part, findings, facts, sheet, digest) for part in source["fields"]]
    return Section(**{**source, "fields": fields})


def _field(part, findings, facts, sheet, digest):
    if part["kind"] == "person":
        return ByPerson(name=part["name"], key=part["key"], text=sheet.record.get(part["key"], ""))
    if part["kind"] == "stated":
        return Stated(name=part["name"], text=_STATED[part["part"]](sheet))
    if part["kind"] == "measured":
        return Measured(
            name=part["name"], findings=[finding for question, finding in findings if question in part["questions"]]
        )
    counts = [Count(name=name, value=value, digest=of) for name, value, of in _COUNTED[part["facts"]](facts, digest)]
    return Measured(name=part["name"], counts=counts)


_STATED = {
    "title": lambda sheet: sheet.title,
    "plan": lambda sheet: f"{sheet.looks} a year, each at the level {sheet.alpha:.3g}",
}


def _model_counts(facts, digest):
    for name, value in {**facts["model"], **facts["versions"]}.items():
        yield name, value, digest


def _data_counts(facts, digest):
    for name, rows in facts["sets"].items():
        yield f"{name}: rows", _large(rows["rows"]), rows["digest"]
        yield f"{name}: units", _large(rows["units"]), rows["digest"]
        for column in rows["columns"]:
            yield f"{name}: missing cells of {column['name']}", column["missing"], rows["digest"]
        for column, groups in rows["groups"].items():
            for group, count in groups.items():
                yield f"{name}: rows with {column} {group}", count, rows["digest"]


def _range_counts(facts, digest):
    for column in facts["sets"]["test"]["columns"]:
        if column["range"]:
            low, high = column["range"]
            yield (
                f"{column['name']}, 5% to 95% of the test rows",
                f"{low:.4g} to {high:.4g}",
                facts["sets"]["test"]["digest"],
            )


def _column_counts(facts, digest):
    for column in facts["sets"]["test"]["columns"]:
        yield column["name"], column["kind"], facts["sets"]["test"]["digest"]


_COUNTED = {"model": _model_counts, "data": _data_counts, "ranges": _range_counts, "columns": _column_counts}


def lint_record(record, sheet=None):
    """What is wrong with a record.

    Args:
        record: dict, as of `record`, or as read from a file.
        sheet: `sanity.audit.sheet.Sheet`, with what persons wrote; None: the digests in the record are compared.

    Returns:
        list of str, a sentence each: forbidden words, numbers without what they rest on, and text that no person gave.
    """
    try:
        parsed = Record.model_validate(record)
    except ValidationError as error:
        return [f"{'.'.join(map(str, line['loc']))}: {line['msg']}." for line in error.errors()]
    problems = [] if parsed.notice == NOTICE else ["The notice is not that of the lab."]
    for status in parsed.moving:
        problems += _lint_words("moving", status.text)
    for section in parsed.sections:
        for text in (section.source, section.asks, *section.not_claimed, *(status.text for status in section.status)):
            problems += _lint_words(section.source, text)
        problems += [] if section.status else [f"{section.source}: no status says when it was read."]
        for part in section.fields:
            problems += _LINTS[part.kind](f"{section.source}, {part.name}", part, parsed, sheet)
    empty = sum(isinstance(part, ByPerson) and not part.text for section in parsed.sections for part in section.fields)
    if empty != parsed.to_be_written:
        problems.append(f"{empty} fields are empty, and {parsed.to_be_written} are counted.")
    return problems


def _lint_words(place, text):
    words = [word for word in FORBIDDEN_WORDS if re.search(rf"\b{word}\b", text, re.IGNORECASE)]
    return [f"{place}: the word {word!r} says more than an audit can." for word in words]


def _lint_measured(place, part, parsed, sheet):
    problems = []
    for finding in part.findings:
        where = f"{place}, {finding.check} of {finding.about}"
        problems += _lint_words(where, f"{finding.sentence} {finding.cannot}")
        needs_all = finding.estimate is not None
        if not needs_all and finding.outcome != "INVALID" and re.search(r"\d", finding.sentence):
            problems.append(f"{where}: numbers without an interval.")
        lacking = [name for name in ("n", "seed") if needs_all and getattr(finding, name) is None]
        lacking += [] if finding.digest else ["digest"]
        problems += [f"{where}: a number without {name}." for name in lacking]
        if needs_all and not finding.estimate.low <= finding.estimate.value <= finding.estimate.high:
            problems.append(f"{where}: the number is outside its interval.")
    for count in part.counts:
        problems += [] if count.digest else [f"{place}, {count.name}: a number without digest."]
        if _is_small(count):
            problems.append(f"{place}, {count.name}: a count below {FEWEST} may name a person.")
    return problems


def _is_small(count):
    is_people = re.match(r"(test|train|current): ", count.name)
    return bool(is_people) and isinstance(count.value, int) and 0 < count.value < FEWEST


def _lint_stated(place, part, parsed, sheet):
    known = None if sheet is None else {function(sheet) for function in _STATED.values()}
    wrong = known is not None and part.text not in known
    return _lint_words(place, part.text) + ([f"{place}: text that the sheet does not hold."] if wrong else [])


def _lint_person(place, part, parsed, sheet):
    if not part.text:
        return []
    by_sheet = sheet is not None and sheet.record.get(part.key) != part.text
    if by_sheet or parsed.written_by_persons.get(part.key) != _digest(part.text):
        return [f"{place}: text that no person gave in the sheet."]
    return _lint_words(f"{place}, as a person wrote it", part.text)


_LINTS = {"measured": _lint_measured, "from the sheet": _lint_stated, "to be written by a person": _lint_person}
