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
        "FORETELLS",
        "PASS, or INCONCLUSIVE with few images",
        "The map predicts how the score moves when the input moves a little.",
    ),
    (
        "FORETELLS ANOTHER SCORE",
        "FAIL",
        "The score moves otherwise than the map says.",
    ),
    (
        "SCORE TOO ROUGH",
        "INVALID",
        "The score moves differently under one step and under two, so that no map could predict it.",
    ),
    (
        "COMPLETE",
        "PASS",
        "Maps add up to the difference of the scores.",
    ),
    (
        "NOT COMPLETE",
        "FAIL, or INCONCLUSIVE for a method that does not promise it",
        "Maps do not add up to the difference of the scores.",
    ),
    (
        "STABLE",
        "PASS, or INCONCLUSIVE with few images",
        "Maps stay under a little noise and another seed. A filter of the image does so, too.",
    ),
    (
        "UNSTABLE",
        "FAIL",
        "Maps change under a little noise or another seed.",
    ),
    (
        "INVARIANT",
        "PASS",
        "Maps stay when the same function is written in another way.",
    ),
    (
        "NOT INVARIANT",
        "FAIL",
        "Maps change although the function is the same.",
    ),
    (
        "AGREES",
        "PASS, or INCONCLUSIVE with few images",
        "Another library gives the same map, or the same but for a factor.",
    ),
    (
        "OTHER SIGN",
        "INCONCLUSIVE",
        "Another library gives the map with its signs turned.",
    ),
    (
        "DISAGREES",
        "FAIL",
        "Another library gives another map under the same name.",
    ),
    (
        "KEPT",
        "PASS",
        "Every promise of an explainer was kept.",
    ),
    (
        "BROKEN",
        "FAIL",
        "A promise of an explainer was broken, such as the same map for the same seed.",
    ),
    (
        "ROSE, FELL, UNCHANGED",
        "INCONCLUSIVE",
        "Whether maps grew more complex when the weights were lost. Neither is a fault by itself.",
    ),
    (
        "BEATS RANDOM ORDER",
        "PASS for retraining, else INCONCLUSIVE",
        "More is lost by the positions that the map ranks highest than by random ones.",
    ),
    (
        "NO BETTER THAN RANDOM ORDER",
        "FAIL for retraining, else INCONCLUSIVE",
        "No more is lost by them than by random ones.",
    ),
    (
        "METRIC UNRELIABLE",
        "INCONCLUSIVE",
        "Images or fills do not agree on the metric, so that nothing is ranked.",
    ),
    (
        "USED, IN ORDER, NEEDED",
        "PASS",
        "What attention or a concept does changes the answers, or it goes with what leaving tokens out does.",
    ),
    (
        "SUPPORTED",
        "PASS",
        "The score changes along the concept more than along random sets of inputs. The network may not use it.",
    ),
    (
        "NOT SUPPORTED, NOT SHOWN TO BE USED",
        "INCONCLUSIVE",
        "Random sets, or random directions, do as much. More inputs may show more.",
    ),
    (
        "EFFECT",
        "PASS",
        "Without this atom of a layer the score moves more than without random directions with its codes.",
    ),
    (
        "NO MORE THAN RANDOM",
        "INCONCLUSIVE",
        "It moves less than without them on average, as half of all random directions do.",
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
        "NATURAL PATH",
        "PASS",
        "Pictures take the path of their own units' natural images. They may still mislead.",
    ),
    (
        "ANOTHER PATH",
        "FAIL",
        "They do not, or they take that of another unit.",
    ),
    (
        "PREDICTS",
        "PASS",
        "Pictures tell natural images that drive their unit from those that do not. They may still mislead.",
    ),
    (
        "DOES NOT PREDICT",
        "FAIL",
        "They do not, or they do so for another unit.",
    ),
    (
        "SEEDS AGREE, BEYOND THE PRIOR",
        "PASS",
        "Pictures of a unit are alike, and less like those of other units or untrained networks. They may still mislead.",
    ),
    (
        "SEEDS DISAGREE, WITHIN THE PRIOR",
        "FAIL",
        "Pictures of a unit are no more like each other than like those of other units or untrained networks.",
    ),
    (
        "RECOGNIZED, RECOVERED",
        "PASS",
        "Other networks see the class in pictures, or templates set by hand are recovered. Pictures may still mislead.",
    ),
    (
        "NOT RECOGNIZED, NOT RECOVERED",
        "FAIL",
        "Other networks do not see the class, or templates set by hand are not recovered.",
    ),
    (
        "MEASURED",
        "INCONCLUSIVE",
        "A number that is not judged. No gate fails by it.",
    ),
    (
        "CANDIDATE",
        "FAIL",
        "Of data: the labels are told from this view alone, beyond the margin.",
    ),
    (
        "SIZE UNCERTAIN",
        "INCONCLUSIVE",
        "Of data: it is open whether the view tells the labels beyond the margin.",
    ),
    (
        "WITHIN THE MARGIN, SAME EVERYWHERE",
        "PASS",
        "Of data: the view tells the labels no better than the margin, or not at all.",
    ),
    (
        "NOT USED",
        "PASS",
        "Of data: swapping the region between classes costs no accuracy beyond the margin. USED is FAIL there.",
    ),
    (
        "MORE IN THE REGION, NOT MORE IN THE REGION",
        "INCONCLUSIVE, PASS",
        "Of data: whether maps lie in the region. A map shows no use.",
    ),
    (
        "WEAK SLICE BEYOND THE MARGIN, WEAK CLUSTER BEYOND THE MARGIN, MISCALIBRATION BEYOND THE MARGIN, SHIFT BEYOND THE MARGIN, GAP BEYOND THE MARGIN",
        "FAIL",
        "Of an audit: the effect is there, and larger than the margin.",
    ),
    (
        "WEAK SLICE OF UNCERTAIN SIZE, WEAK CLUSTER OF UNCERTAIN SIZE, MISCALIBRATION OF UNCERTAIN SIZE, SHIFT OF UNCERTAIN SIZE, GAP OF UNCERTAIN SIZE",
        "INCONCLUSIVE",
        "Of an audit: the effect is there, and the margin lies inside its interval.",
    ),
    (
        "WEAK SLICE WITHIN THE MARGIN, WEAK CLUSTER WITHIN THE MARGIN, MISCALIBRATION WITHIN THE MARGIN, SHIFT WITHIN THE MARGIN, GAP WITHIN THE MARGIN",
        "PASS",
        "Of an audit: the effect is there, and smaller than the margin.",
    ),
    (
        "ERRORS ROSE",
        "FAIL, or INCONCLUSIVE where the margin lies inside the interval",
        "Of an audit: the network errs more on current data.",
    ),
    (
        "DID NOT RISE BEYOND THE MARGIN",
        "PASS",
        "Of an audit: a rise of errors beyond the margin is ruled out by labels of current data.",
    ),
    (
        "HARM UNKNOWN",
        "INCONCLUSIVE",
        "Of an audit: current data have no labels, so that errors are only estimated.",
    ),
    (
        "UNLIKE THE REFERENCE",
        "INCONCLUSIVE",
        "Of an audit: some current rows lie far from all rows of the reference. They may still be right.",
    ),
    (
        "NO ROW STANDS OUT",
        "INCONCLUSIVE",
        "Of an audit: no more current rows lie farther from the reference than held-out rows do than chance gives.",
    ),
    (
        "NONE ABOVE THE MARGIN",
        "PASS",
        "Of an audit: nothing was found, and an effect of the margin's size would have been.",
    ),
    (
        "NOT ENOUGH DATA",
        "INCONCLUSIVE",
        "Nothing was found, and an effect beyond the margin might have been missed.",
    ),
    (
        "NOT DECODABLE BEYOND LEGITIMATE, USE WITHIN THE MARGIN",
        "PASS",
        "Of an audit: a layer says no more of a protected column than legitimate ones do, or swaps and erasures turn few decisions.",
    ),
    (
        "ENCODED BEYOND LEGITIMATE, DEPENDS ON IT BEYOND LEGITIMATE",
        "INCONCLUSIVE",
        "Of an audit: a layer, or the output, says more of it than legitimate columns do. Use needs a swap or an erasure.",
    ),
    (
        "USE OF UNCERTAIN SIZE",
        "INCONCLUSIVE",
        "Of an audit: an erasure moves decisions. Whether beyond the margin, and more than other directions, is open.",
    ),
    (
        "USED BEYOND THE MARGIN",
        "FAIL",
        "Of an audit: swapping columns between groups, or erasing a layer's direction, turns more decisions than the margin.",
    ),
    (
        "NETWORK AHEAD BEYOND THE MARGIN",
        "PASS",
        "Of an audit: the network is ahead of the simple model by more than the margin.",
    ),
    (
        "SIMPLER DOES AS WELL, NETWORK BEHIND",
        "FAIL",
        "Of an audit: a simple model is behind by less than the margin, or it is ahead.",
    ),
    (
        "LOSSES DISAGREE",
        "INCONCLUSIVE",
        "Of an audit: the network is ahead of a simple model in one loss and behind it in another.",
    ),
    (
        "REASONS STABLE, REASONS AGREE ACROSS REFERENCES, REASONS MATTER",
        "PASS",
        "Of an audit: reasons stay when rows and networks are drawn again, with all rows as reference, and they turn decisions.",
    ),
    (
        "REASONS UNSTABLE, REASONS DEPEND ON THE REFERENCE, REASONS DO NOT MATTER",
        "FAIL",
        "Of an audit: reasons come and go, change with the reference, or turn hardly more decisions than chance.",
    ),
    (
        "REASONS NOT SETTLED",
        "INCONCLUSIVE",
        "Of an audit: the interval holds the margin, or there are too few rows.",
    ),
    (
        "RARE BUT DECISIVE",
        "INCONCLUSIVE",
        "Of an audit: a factor affects few rows and decides many of them. Rankings over all rows miss it.",
    ),
    (
        "NO RARE DECISIVE FACTOR",
        "PASS",
        "Of an audit: no factor is rare and decides, and a planted one would have been found.",
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
