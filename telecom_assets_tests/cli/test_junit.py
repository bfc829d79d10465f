"""The JUnit report: valid for every reader we know, whatever a finding holds."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from telecom_assets.cli.junit import Case, junit_report
from telecom_assets.model.text import legible

AT = dt.datetime(2026, 11, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=1)))

#: What CI servers agree on: suites, suites' counts, cases in order, of each case one outcome before its output.
SCHEMA = etree.RelaxNG(
    etree.XML("""
<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <start>
    <element name="testsuites">
      <ref name="counts"/>
      <zeroOrMore>
        <element name="testsuite">
          <attribute name="name"/>
          <attribute name="skipped"><data type="nonNegativeInteger"/></attribute>
          <attribute name="timestamp"><data type="dateTime"/></attribute>
          <ref name="counts"/>
          <zeroOrMore><ref name="case"/></zeroOrMore>
        </element>
      </zeroOrMore>
    </element>
  </start>
  <define name="case">
    <element name="testcase">
      <attribute name="name"/>
      <attribute name="classname"/>
      <attribute name="time"><data type="decimal"/></attribute>
      <optional>
        <choice>
          <element name="failure"><ref name="detail"/></element>
          <element name="error"><ref name="detail"/></element>
          <element name="system-out"><text/></element>
        </choice>
      </optional>
    </element>
  </define>
  <define name="detail"><attribute name="message"/><attribute name="type"/><text/></define>
  <define name="counts">
    <attribute name="tests"><data type="nonNegativeInteger"/></attribute>
    <attribute name="failures"><data type="nonNegativeInteger"/></attribute>
    <attribute name="errors"><data type="nonNegativeInteger"/></attribute>
    <attribute name="time"><data type="decimal"/></attribute>
  </define>
</grammar>""")
)

texts = st.text(st.characters(codec=None, categories=None), max_size=30)
cases = st.builds(Case, texts, texts, st.floats(0, 1e6), st.sampled_from(["passed", "failure", "error"]), texts, texts)


def test_a_report_of_each_outcome() -> None:
    report = junit_report(
        "checks of 2026-10",
        [
            Case("cleaned_cdrs", "keeps_contract", 0.25, "passed"),
            Case("rate_plans", "prices_are_reached", 0, "passed", "advice: <1> price"),
            Case("cleaned_cdrs", "raw = cleaned", 1.5, "failure", 'does not "hold" & more', "day 2026-10-05, raw 10"),
            Case("published_bills", "published", 0.0004, "error", "PostgreSQL is down"),
        ],
        AT,
    )
    assert (
        report.decode()
        == """<?xml version='1.0' encoding='utf-8'?>
<testsuites tests="4" failures="1" errors="1" time="1.750">
  <testsuite name="checks of 2026-10" tests="4" failures="1" errors="1" time="1.750" skipped="0" timestamp="2026-11-02T02:04:05">
    <testcase classname="cleaned_cdrs" name="keeps_contract" time="0.250" />
    <testcase classname="rate_plans" name="prices_are_reached" time="0.000">
      <system-out>advice: &lt;1&gt; price</system-out>
    </testcase>
    <testcase classname="cleaned_cdrs" name="raw = cleaned" time="1.500">
      <failure message="does not &quot;hold&quot; &amp; more" type="failure">does not "hold" &amp; more
day 2026-10-05, raw 10</failure>
    </testcase>
    <testcase classname="published_bills" name="published" time="0.000">
      <error message="PostgreSQL is down" type="error">PostgreSQL is down</error>
    </testcase>
  </testsuite>
</testsuites>
"""
    )
    SCHEMA.assertValid(etree.fromstring(report))


@given(suite=texts, listed=st.lists(cases, max_size=5))
def test_whatever_a_finding_holds_is_read_again(suite: str, listed: list[Case]) -> None:
    """Control characters, halves of surrogate pairs, markup: each is escaped, or shown as one that XML has."""
    root = etree.fromstring(junit_report(suite, listed, AT))
    SCHEMA.assertValid(root)
    assert root.find("testsuite").get("name") == legible(suite)
    found = root.findall("testsuite/testcase")
    assert [(case.get("classname"), case.get("name")) for case in found] == [
        (legible(case.group), legible(case.name)) for case in listed
    ]
    for case, element in zip(listed, found, strict=True):
        if case.outcome != "passed":
            assert element.find(case.outcome).get("message") == legible(case.message)
    assert int(root.get("failures")) == sum(case.outcome == "failure" for case in listed)
