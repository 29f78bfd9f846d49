"""JUnit: verdicts as XML for build servers: FAIL is a failure, INVALID an error, INCONCLUSIVE a skip."""

import re
from xml.etree import ElementTree

_TAGS = {"FAIL": "failure", "INVALID": "error", "INCONCLUSIVE": "skipped"}


def junit(name, families):
    """Verdicts as JUnit XML: a suite for each family, a case for each method.

    A control is a failure where it did not come out as it must, and is left out where nothing is expected of it.

    Args:
        name: of the recipe.
        families: content of verdicts.json.

    Returns:
        bytes of XML.
    """
    root = ElementTree.Element("testsuites", name=_xml(name))
    for family_name, family in families.items():
        controls = {control["control"]: control for control in family["controls"]}
        verdicts = [
            verdict
            for verdict in family["verdicts"]
            if verdict["method"] in controls or verdict["method"] not in family["blind"]
        ]
        cases = [_case(family_name, verdict, controls.get(verdict["method"])) for verdict in verdicts]
        attributes = {"failures": "failure", "errors": "error", "skipped": "skipped"}
        counts = {name: str(sum(case.find(tag) is not None for case in cases)) for name, tag in attributes.items()}
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(family_name), tests=str(len(cases)), **counts)
        suite.extend(cases)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(family_name, verdict, control):
    case = ElementTree.Element("testcase", classname=_xml(family_name), name=_xml(verdict["method"]))
    sentence = _xml(verdict["sentence"])
    if control:
        tag = None if control["held"] else "failure"
        message = f"control came out {control['outcome']} and had to be {' or '.join(control['expected'])}"
    else:
        tag = "skipped" if verdict["finding"] == "NOT APPLICABLE" else _TAGS.get(verdict["outcome"])
        message = sentence
    if tag:
        ElementTree.SubElement(case, tag, message=message).text = sentence
    else:
        ElementTree.SubElement(case, "system-out").text = sentence
    return case


def _xml(text):
    """Text in which characters that XML 1.0 cannot hold, such as control characters, are numbers: str."""
    return re.sub(
        r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", lambda match: f"\\u{ord(match[0]):04x}", text
    )
