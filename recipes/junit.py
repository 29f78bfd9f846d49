"""JUnit: verdicts as the XML that every build server reads; a FAIL is a failure, INVALID an error, INCONCLUSIVE a skip."""

from xml.etree import ElementTree

_TAGS = {"FAIL": "failure", "INVALID": "error", "INCONCLUSIVE": "skipped"}


def junit(name, judged):
    """judged: plain values of verdicts.json -> bytes of XML: a suite a family, a case a method; controls fail where they did
    not hold, and are left out where nothing was expected of them."""
    root = ElementTree.Element("testsuites", name=name)
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
        suite = ElementTree.SubElement(root, "testsuite", name=family, tests=str(len(cases)), **named)
        suite.extend(cases)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(family, verdict, audit):
    case = ElementTree.Element("testcase", classname=family, name=verdict["method"])
    if audit:
        tag = None if audit["held"] else "failure"
        words = f"control came out {audit['outcome']} and had to be {' or '.join(audit['expected'])}"
    else:
        tag = "skipped" if verdict["finding"] == "NOT APPLICABLE" else _TAGS.get(verdict["outcome"])
        words = verdict["sentence"]
    if tag:
        ElementTree.SubElement(case, tag, message=words).text = verdict["sentence"]
    else:
        ElementTree.SubElement(case, "system-out").text = verdict["sentence"]
    return case
