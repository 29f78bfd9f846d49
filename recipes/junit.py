"""JUnit: verdicts as the XML that every build server reads; a FAIL is a failure, INVALID an error, INCONCLUSIVE a skip."""

import re
from xml.etree import ElementTree

_TAGS = {"FAIL": "failure", "INVALID": "error", "INCONCLUSIVE": "skipped"}


def junit(name, judged):
    """judged: plain values of verdicts.json -> bytes of XML: a suite a family, a case a method; controls fail where they did
    not hold, and are left out where nothing was expected of them."""
    root = ElementTree.Element("testsuites", name=_xml(name))
    for family, found in judged.items():
        broken = {each["control"]: each for each in found["controls"]}
        judged = [
            each for each in found["verdicts"] if each["method"] in broken or each["method"] not in found["blind"]
        ]
        cases = [_case(family, verdict, broken.get(verdict["method"])) for verdict in judged]
        counts = {
            tag: str(sum(case.find(tag) is not None for case in cases)) for tag in ("failure", "error", "skipped")
        }
        named = {"failures": counts["failure"], "errors": counts["error"], "skipped": counts["skipped"]}
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(family), tests=str(len(cases)), **named)
        suite.extend(cases)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(family, verdict, audit):
    case = ElementTree.Element("testcase", classname=_xml(family), name=_xml(verdict["method"]))
    sentence = _xml(verdict["sentence"])
    if audit:
        tag = None if audit["held"] else "failure"
        words = f"control came out {audit['outcome']} and had to be {' or '.join(audit['expected'])}"
    else:
        tag = "skipped" if verdict["finding"] == "NOT APPLICABLE" else _TAGS.get(verdict["outcome"])
        words = sentence
    if tag:
        ElementTree.SubElement(case, tag, message=words).text = sentence
    else:
        ElementTree.SubElement(case, "system-out").text = sentence
    return case


def _xml(text):
    """Text without what XML 1.0 cannot hold, control characters above all, each shown by its number: str."""
    return re.sub(
        r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", lambda match: f"\\u{ord(match[0]):04x}", text
    )
