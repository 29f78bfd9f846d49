"""Sources: what laws and standards ask for in a record of an audit, which of it an audit can measure, and what a person writes.

This is evidence for whoever writes such a record, and no legal advice.
"""

# Nobody has read the texts for this record after this day. Each user checks them against the official publication.
READ_BY = "2026-11-27"
PUBLISHED, SECONDARY, MEMORY = "read in a published copy", "read in a secondary source", "from memory"

ALL_QUESTIONS = ("reasons", "failures", "shift", "proxies", "groups", "simpler")


def _measured(name, *questions):
    return {"kind": "measured", "name": name, "questions": questions}


def _counted(name, facts):
    return {"kind": "counted", "name": name, "facts": facts}


def _stated(name, part):
    return {"kind": "stated", "name": name, "part": part}


def _person(key, name):
    return {"kind": "person", "key": key, "name": name}


def _read(text, basis=PUBLISHED):
    return {"text": text, "basis": basis, "read_by": READ_BY}


_AI_ACT = _read("Regulation (EU) 2024/1689, in a published copy; check the Official Journal before quoting it.")

# One entry for each source, in the order of the record.
SOURCES = (
    {
        "source": "EU AI Act, Art. 11 and Annex IV(1)-(2)",
        "asks": "Versions, general logic, design choices, relevance of the parameters, data and measures of oversight.",
        "status": (_AI_ACT,),
        "fields": (
            _counted("Network and versions of libraries", "model"),
            _measured("What the output depends on", "reasons"),
            _counted("Sizes, columns, groups and missing cells of the data", "data"),
            _stated("Title of the data", "title"),
            _person("purpose", "Intended purpose"),
            _person("provider", "Provider and version of the system"),
            _person("rationale", "Rationale of the design"),
            _person("data_origin", "Origin of the data and how they were labelled"),
            _person("oversight_assessment", "Assessment of oversight by people, Art. 14"),
        ),
        "not_claimed": ("that Annex IV is complete",),
    },
    {
        "source": "EU AI Act, Annex IV(2)(g), (3) and (4)",
        "asks": "Validation data and procedures, metrics of accuracy, robustness and potentially discriminatory impacts, dated and signed logs, limits and unintended outcomes, and why these metrics.",
        "status": (_AI_ACT,),
        "fields": (
            _measured("Failures and calibration", "failures"),
            _measured("Change of the data", "shift"),
            _measured("Groups of people", "groups"),
            _person("signature", "Name, date and signature"),
            _person("why_these_metrics", "Why these metrics"),
            _person("risk_management", "Risk management, Art. 9"),
        ),
        "not_claimed": ("absence of discriminatory impact",),
    },
    {
        "source": "EU AI Act, Art. 12, 19 and 72",
        "asks": "Automatic logs of events, and monitoring after the system is on the market.",
        "status": (_AI_ACT,),
        "fields": (
            _measured("Change of the data", "shift"),
            _stated("Plan of monitoring: audits a year and the level of each", "plan"),
            _person("own_logging", "The system's own logging"),
            _person("who_acts", "Who acts on an alarm, and how"),
        ),
        "not_claimed": ("that audits are the logs of the system",),
    },
    {
        "source": "EU AI Act, Art. 13(3)(b)",
        "asks": "Accuracy and what affects it, means to explain output, performance for groups, the inputs that are expected, and how output is read.",
        "status": (_AI_ACT,),
        "fields": (
            _measured("Failures and calibration", "failures"),
            _measured("Change of the data", "shift"),
            _measured("Reasons and how stable they are", "reasons"),
            _measured("Groups of people", "groups"),
            _counted("Ranges of columns", "ranges"),
            _person("instructions", "Instructions for use in plain words"),
        ),
        "not_claimed": ("that an explanation is adequate for a user",),
    },
    {
        "source": "EU AI Act, Art. 14",
        "asks": "That people can understand limits, notice automation bias, interpret output and override it.",
        "status": (_AI_ACT,),
        "fields": (
            _measured("Weak groups of rows", "failures"),
            _measured("Rows unlike the reference", "shift"),
            _measured("Unstable reasons", "reasons"),
            _person("oversight_procedures", "Procedures, training and the way to stop the system"),
        ),
        "not_claimed": ("that oversight works, since no test with people was made",),
    },
    {
        "source": "EU AI Act, Art. 15",
        "asks": "Declared metrics of accuracy, robustness, feedback loops and cybersecurity.",
        "status": (_AI_ACT,),
        "fields": (
            _measured("Failures and calibration", "failures"),
            _measured("Change of the data", "shift"),
            _person("feedback_loops", "Feedback loops"),
            _person("security", "Cybersecurity"),
        ),
        "not_claimed": ("security or resistance to attacks",),
    },
    {
        "source": "EU AI Act, Art. 86",
        "asks": "The role of the system in a decision and the main elements of the decision (Annex III but point 2, where nothing else provides for it).",
        "status": (_AI_ACT,),
        "fields": (
            _measured("Reasons and how stable they are", "reasons"),
            _person("role_in_procedure", "Role of the system in the procedure"),
            _person("contact", "Contact and language for persons concerned"),
        ),
        "not_claimed": ("that codes are the reasons by which a person decided",),
    },
    {
        "source": "GDPR, Art. 13(2)(f), 14(2)(g), 15(1)(h) and 22",
        "asks": "Meaningful information about the logic, the significance and the consequences, and a way to contest.",
        "status": (
            _read("Regulation (EU) 2016/679, in a published copy."),
            _read(
                "C-203/22 (27 February 2025): procedure and principles that were actually applied, in an intelligible form."
            ),
            _read("C-634/21: scoring may itself be the decision. Verify before quoting it.", MEMORY),
        ),
        "fields": (
            _counted("Columns that entered", "columns"),
            _measured("Reasons and how stable they are", "reasons"),
            _person("plain_text", "Explanation in plain words"),
            _person("legal_basis", "Legal basis"),
            _person("human_review", "Review by a person"),
            _person("trade_secrets", "Balance with trade secrets"),
        ),
        "not_claimed": ("compliance",),
    },
    {
        "source": "US ECOA, Regulation B, 12 CFR 1002.9(b)(2) with comments 1-5 and 7",
        "asks": "Specific principal reasons that relate to factors actually scored, as a rule at most four, from either reference population.",
        "status": (
            _read("12 CFR 1002.9 and its official comments, in a published copy."),
            _read(
                "Since the rule effective 21 July 2026 Regulation B disowns the effects test. State and other laws differ."
            ),
            _read("CFPB circular 2022-03 was withdrawn on 12 May 2025. Verify circular 2023-03.", SECONDARY),
        ),
        "fields": (
            _measured("Reasons and how stable they are", "reasons"),
            _person("factor_wording", "Wording of each factor"),
            _person("credit_score_notices", "Notices of credit scores, FCRA 615"),
        ),
        "not_claimed": ("that the wording of a checklist fits", "lawful effect: gaps are printed as gaps"),
    },
    {
        "source": "FDA: Good Machine Learning Practice (2021) and predetermined change control plans (December 2024)",
        "asks": "Representative data, independent test sets, relevant conditions and subgroups, clear information and monitoring; modifications, their protocol and impact.",
        "status": (
            _read("GMLP principles 3, 4 and 7-10, by number. Verify the numbers.", MEMORY),
            _read("Guidance on predetermined change control plans of December 2024, in a published copy."),
            _read("The lifecycle draft of January 2025 was not final in the last copy that was read."),
        ),
        "fields": (
            _measured("Failures and calibration", "failures"),
            _measured("Groups of people", "groups"),
            _measured("Change of the data", "shift"),
            _counted("Sizes of the sets", "data"),
            _person("clinical_meaning", "Clinical meaning"),
            _person("reference_standard", "Reference standard"),
            _person("team_study", "Study of people with the system"),
            _person("acceptance_criteria", "Acceptance criteria"),
        ),
        "not_claimed": ("substantial equivalence", "clinical benefit"),
    },
    {
        "source": "NIST AI RMF, MEASURE 2.1, 2.3-2.5, 2.9, 2.11, 3.1 and MANAGE 4.1",
        "asks": "Documented tests, performance in context, monitoring, limits of validity, a model that is explained and validated, and evaluated bias.",
        "status": (
            _read("NIST AI 100-1, in a published copy."),
            _read("The numbers of the subcategories. Verify them.", MEMORY),
        ),
        "fields": (
            _measured("All that was measured", *ALL_QUESTIONS),
            _person("context_and_harms", "MAP: context and harms"),
            _person("governance", "GOVERN: who answers for what"),
        ),
        "not_claimed": ("that risk is managed",),
    },
    {
        "source": "Model cards (Mitchell et al. 2019) and datasheets (Gebru et al. 2021)",
        "asks": "Details, use, factors, metrics, data, analyses by group and intersection, caveats; motivation, composition, collection, uses and maintenance.",
        "status": (_read("Both papers. Verify before quoting them.", MEMORY),),
        "fields": (
            _counted("Details of the network", "model"),
            _counted("Composition of the data", "data"),
            _measured("Analyses by group", "groups", "failures"),
            _measured("Simpler models", "simpler"),
            _person("intended_use", "Intended use and uses out of scope"),
            _person("ethics", "Ethical considerations"),
            _person("datasheet", "Motivation, collection, uses and maintenance of the data"),
        ),
        "not_claimed": ("intersections with too few rows",),
    },
)

# What was about to change.
MOVING = (
    _read(
        "Digital Omnibus on AI (final vote of the Council on 29 June 2026): duties of Annex III from 2 December 2027, of Annex I from 2 August 2028. Check the Official Journal.",
        SECONDARY,
    ),
    _read(
        "Digital Omnibus on AI: processing of special categories to find bias moves from Art. 10(5) to a new Art. 4a. Check the Official Journal.",
        SECONDARY,
    ),
)
