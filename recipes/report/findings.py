"""Findings: every word that a verdict may end in, with its outcome and its meaning in plain words."""

# (finding or findings, outcome, in plain words), as in docs/checks.md.
FINDINGS = (
    (
        "RESPONDED",
        "PASS, or INCONCLUSIVE with few untrained networks",
        "Maps changed with what was replaced. Noise would change too.",
    ),
    (
        "DID NOT RESPOND, INPUT-DOMINATED, CLASS-BLIND",
        "FAIL",
        "Maps are much the same whatever the weights, labels or class.",
    ),
    (
        "SIGN RESPONDS",
        "INCONCLUSIVE",
        "The signs of maps change. Whether their strengths do is open.",
    ),
    (
        "ANSWERS ALIKE",
        "INCONCLUSIVE",
        "Maps are the same for both classes, and a right map may be so, too.",
    ),
    (
        "FOLLOWS THE CUE",
        "PASS",
        "Maps lie on the cue that the network learned, and not on the other.",
    ),
    (
        "DOES NOT FOLLOW THE CUE",
        "FAIL",
        "They lie no more on it than maps of networks that learned the other.",
    ),
    (
        "CLASS-SPECIFIC, IMAGE-SPECIFIC, IN PLACE",
        "PASS",
        "Maps agree with their own evidence more than with another's.",
    ),
    (
        "NOT CLASS-SPECIFIC, NOT IMAGE-SPECIFIC, NOT IN PLACE",
        "FAIL",
        "They agree no more with their own evidence than with another's.",
    ),
    (
        "USED, IN ORDER, NEEDED",
        "PASS",
        "What attention does changes the answers, or goes with what leaving tokens out does.",
    ),
    (
        "UNUSED, NOT IN ORDER",
        "FAIL",
        "The answers hardly depend on it, or it goes no more with leaving tokens out than positions do.",
    ),
    (
        "NOT NEEDED",
        "INVALID",
        "Networks without attention are right as often, so that it is no reason of the answers.",
    ),
    (
        "ENCODED",
        "PASS",
        "A label is told from a layer, beyond control task, untrained networks and inputs.",
    ),
    (
        "NO BETTER THAN BASELINES",
        "FAIL",
        "Untrained networks, or the inputs alone, tell the label as well.",
    ),
    (
        "NOT SELECTIVE",
        "INVALID",
        "The probe learns labels without a meaning as well.",
    ),
    (
        "NOT SHOWN",
        "INCONCLUSIVE",
        "The label is not told more often than chance allows.",
    ),
    (
        "BARELY",
        "INCONCLUSIVE",
        "The effect is real, and less than a twentieth of the network's own.",
    ),
    (
        "UNDECIDED",
        "INCONCLUSIVE",
        "The interval allows several answers.",
    ),
    (
        "NO REPRODUCIBLE SIGNAL",
        "INVALID",
        "Maps that should agree do not.",
    ),
    (
        "ORACLE DOES NOT PASS",
        "INVALID",
        "The network's own answer does not pass either, so that nothing can be said of methods.",
    ),
    (
        "GATE FAILED",
        "INVALID",
        "A condition of the check does not hold, such as an accuracy.",
    ),
    (
        "NOT APPLICABLE",
        "INVALID",
        "The question does not apply to this method, model or data.",
    ),
    (
        "FAULT",
        "INVALID",
        "The method raised an error, or returned what is no map.",
    ),
)


def plain_words(finding):
    """What a finding means: str, empty for one that is not in the table."""
    return next((words for names, _, words in FINDINGS if finding in names.split(", ")), "")
