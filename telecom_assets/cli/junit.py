"""A JUnit report: what CI servers read of checks that passed or failed.

Belongs here: the form of the file, as Jenkins, GitLab and the actions of GitHub read it (there is no standard). Does not
belong here: what is checked.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from telecom_assets.model.text import legible

Result = Literal["passed", "failure", "error"]


@dataclass(frozen=True)
class Case:
    """One test case. A failure says what does not hold, an error why nothing can be said.

    message: one line. details: lines below it. A case that passed may have both: they are its output.
    """

    group: str
    name: str
    seconds: float
    outcome: Result
    message: str = ""
    details: str = ""


def junit_report(suite: str, cases: Sequence[Case], at: dt.datetime) -> bytes:
    """The report of one suite as XML in UTF-8. Characters that XML cannot hold are shown as U+FFFD."""
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.outcome == "failure" for case in cases)),
        "errors": str(sum(case.outcome == "error" for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }
    root = ET.Element("testsuites", counts)
    of_suite = {
        "name": legible(suite),
        **counts,
        "skipped": "0",
        "timestamp": f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}",
    }
    element = ET.SubElement(root, "testsuite", of_suite)
    for case in cases:
        names = {"classname": legible(case.group), "name": legible(case.name), "time": f"{case.seconds:.3f}"}
        shown = ET.SubElement(element, "testcase", names)
        text = legible("\n".join(part for part in (case.message, case.details) if part))
        if case.outcome != "passed":
            ET.SubElement(shown, case.outcome, {"message": legible(case.message), "type": case.outcome}).text = text
        elif text:
            ET.SubElement(shown, "system-out").text = text
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
