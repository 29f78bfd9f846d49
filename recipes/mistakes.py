"""Mistakes: photographs chosen by whether they are answered right, and the contrast of the predicted class with another.

answers(session, ...)          -> Subject    of the photographs that a run explains
select_answers(subject, only)  -> Subject    of the photographs answered wrong, or right
contrast_classes(subject)      -> Subject    whose objective is the predicted class minus the true one
"""

from dataclasses import replace

import numpy as np

from lab import routines
from lab.environment import tf
from lab.nouns import plural
from lab.refusal import Refused

# How a photograph can be answered, as words of a sentence.
ANSWERED = {"wrong": "answered wrongly", "right": "answered right"}
# What `--contrast` draws of each method: part of a job -> words beside the method's name.
PARTS = {"contrast": "contrast", "predicted": "predicted class", "other": "other class"}


def answers(session, question, only, contrast, places=None):
    """The photographs that are explained, chosen by their answers, with their targets; worked out once in a process.

    Args:
        session: `recipes.session.Session`.
        question: dict as of `recipes.fields.TargetTable.question`.
        only: "wrong", "right" or "all".
        contrast: bool, whether the predicted class is explained against another.
        places: [start, stop] of the photographs of a shard, of which only the last one is kept; None: all.

    Returns:
        `sanity.subject.Subject`, without photographs where none is answered as `only` wants.
    """

    def build():
        subject = select_answers(session.subject(question, places), only)
        return contrast_classes(subject) if contrast else subject

    key = ("answers", str((sorted(question.items()), only, contrast, places)))
    return session.build_once(key, build) if places is None else session.keep_last(key, build)


def rank_classes(subject):
    """The classes of each photograph, the highest score first.

    Args:
        subject: `sanity.subject.Subject` of an output that tells classes apart.

    Returns:
        int [samples, classes].
    """
    scores = routines.class_logits(subject.network, subject.inputs, subject.output)
    return np.argsort(-scores, axis=1, kind="stable")


def select_answers(subject, only):
    """The photographs whose predicted class is not among the true ones, or is, the most confident answer first.

    Args:
        subject: `sanity.subject.Subject`.
        only: "wrong", "right", or "all", which leaves the subject as it is.

    Returns:
        `sanity.subject.Subject`. It may have no photographs, and then has no objective.

    Raises:
        Refused: where there are no labels, and for an output that tells no classes apart.
    """
    if only == "all":
        return subject
    if not subject.tells_classes_apart:
        raise Refused(
            f"Answers are right or wrong where an output has one score a class. Received: only={only}, and an output with positions or of one number. Leave it out."
        )
    if subject.true is None:
        raise Refused(
            f"Answers are right or wrong beside true classes. Received: only={only} without labels. Give one folder with a subfolder for each class, and labels=folders; or the column of a table with label=."
        )
    return _select(subject, _most_confident_first(subject, np.flatnonzero(subject.correct == (only == "right"))))


def _most_confident_first(subject, kept):
    """Some photographs by the probability of their predicted class; where it rounds to 1, by its lead: int array."""
    probabilities = np.sort(routines.probabilities(subject.network, subject.inputs, subject.output)[kept], axis=1)
    scores = np.sort(routines.class_logits(subject.network, subject.inputs, subject.output)[kept], axis=1)
    return kept[np.lexsort((scores[:, -2] - scores[:, -1], -probabilities[:, -1]))]


def _select(subject, kept):
    """The subject of some of its photographs, by their indices."""
    arrays = {name: getattr(subject, name) for name in ("correct", "labels", "targets", "true")}
    return replace(
        subject,
        inputs=tf.nest.map_structure(lambda leaf: leaf[kept], subject.inputs),
        objective=subject.objective.rows(kept) if len(kept) else None,
        names=tuple(subject.names[index] for index in kept),
        **{name: None if values is None else values[kept] for name, values in arrays.items()},
    )


def count_sentence(count, total, only, noun="photograph"):
    """How many photographs are answered wrongly, or right: str.

    Args:
        count: int, photographs of that kind.
        total: int, photographs in all.
        only: "wrong" or "right".
        noun: str, what is counted.

    Returns:
        str.
    """
    if not count:
        return f"none of {total} {plural(noun)} is {ANSWERED[only]}"
    return f"{count} of {total} {plural(noun)} {'is' if count == 1 else 'are'} {ANSWERED[only]}"


def contrast_classes(subject):
    """The subject whose objective is the evidence for the predicted class against another one.

    For a mistake the other is the true class, of several true ones that with the highest score. For a right answer, and
    without labels, it is the runner-up. One unit for two classes has minus the unit as the score of class 0, so that the
    contrast is twice the unit.

    Args:
        subject: `sanity.subject.Subject` whose targets are the predicted classes.

    Returns:
        `sanity.subject.Subject` with `references`, int [samples], the other classes.

    Raises:
        Refused: for an output with positions, and for one number.
    """
    if not subject.tells_classes_apart:
        raise Refused(
            "A contrast is of two classes of an output with one score a class. Received: contrast=True, and an output with positions or of one number. Leave it out."
        )
    if not len(subject.names):
        return subject
    references = _reference_classes(subject)
    objective = subject.objective - subject.objective.for_classes(references.tolist())
    return replace(subject, objective=objective, references=references)


def _reference_classes(subject):
    """The class that each prediction is compared with: int [samples]."""
    ranked = rank_classes(subject)
    true = np.zeros((len(ranked), subject.classes), bool) if subject.true is None else subject.true
    is_mistake = ~true[np.arange(len(ranked)), ranked[:, 0]]
    return np.array(
        [
            next((index for index in row if mistaken and row_true[index]), row[1])
            for row, row_true, mistaken in zip(ranked, true, is_mistake)
        ]
    )


def note_on_contrast(subject):
    """What a reader has to know of a contrast: str, or None."""
    units = subject.network.outputs[subject.network.output_name(subject.output)][1:]
    if units not in ((), (1,)):
        return None
    return "One unit stands for both classes, so that each contrast is twice the map of the predicted class."


def part_objective(subject, part):
    """The objective of one part of a contrast.

    Args:
        subject: `sanity.subject.Subject`, of `contrast_classes`.
        part: a key of `PARTS`, or None for the subject's own objective.

    Returns:
        `Objective`.
    """
    if part in (None, "contrast"):
        return subject.objective
    predicted = type(subject.objective)(subject.objective.terms[:1])
    return predicted if part == "predicted" else predicted.for_classes(subject.references.tolist())


def part_classes(subject, part):
    """What each map of a part is asked about, in words: list of str.

    Args:
        subject: the `Subject`.
        part: a key of `PARTS`, or None for the subject's own objective.

    Returns:
        list of str, one a photograph.
    """
    name_of = subject.network.class_name
    predicted = [name_of(int(index), subject.output) for index in subject.targets]
    if part in (None, "predicted"):
        return predicted
    other = [name_of(int(index), subject.output) for index in subject.references]
    return other if part == "other" else [f"{name} against {rival}" for name, rival in zip(predicted, other)]
