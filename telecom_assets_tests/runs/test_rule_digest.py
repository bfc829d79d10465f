"""By which rules a stage goes: each setting and each part of the code counts where it has an effect, and nowhere else."""

import ast
import datetime as dt
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from telecom_assets.billing import rules as billing
from telecom_assets.definitions import ASSETS, build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.invoices import document as invoice_document
from telecom_assets.mediation import rules as mediation
from telecom_assets.rating import rules as rating
from telecom_assets.record_types import voice
from telecom_assets.record_types.data import DATA, VOLUME
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import RecordType, Units
from telecom_assets.record_types.sms import SMS
from telecom_assets.record_types.voice import VOICE
from telecom_assets.reports import dashboard_panels
from telecom_assets.runs import code, rule_digest
from telecom_assets.runs.code import Code, Reached, installed_source
from telecom_assets.runs.rule_digest import Rules
from telecom_assets.runs.stages import BILLING, MEDIATION, RATING, stage_of_table

OF_RULES = {stage.name: stage for stage in (MEDIATION, RATING, BILLING)}
EVERY = set(OF_RULES)
SETTINGS = Settings.load()
MMS = RecordType(name="mms", events="pictures", subscriber="sender_id", other_party="receiver_id", units=Units("event"))

#: Of each setting another value than its default, and the stages whose tables and documents would be others.
#: What follows from those is not said here: a day that is mediated anew is rated anew.
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "currency": ("EUR", {"billing"}),
    "csv_bom": (True, {"billing"}),
    # Invoices name who sends them. Another file counts, not what is changed in one.
    "issuer": (installed_source.__code__.co_filename, {"billing"}),
    # The page of twelve months names the days that are out of line.
    "unusual_day_score": (5.0, {"billing"}),
    # The dashboard counts malformed messages while a record of the month could be received.
    "max_age_days": (10, {"billing"}),
    # Rating prices a missing volume by it; the gate before a bill asks that all are.
    "missing_volume_policy": ("zero", {"rating", "billing"}),
    # Mediation takes copies by it; rating, and the gate before a bill, ask that no record is cleaned twice.
    "dedupe_days": (3, {"mediation", "rating", "billing"}),
    # The bills of a month correct as many closed ones.
    "adjustment_months": (24, {"billing"}),
    "adjustments": ("separate", {"billing"}),
    "adjustment_threshold": ("0.5", {"billing"}),
    # The engine evaluates all of them.
    "engine": ("spark", EVERY),
}
#: Where things are, when work is done, what only landing or a check goes by: nothing that is there would be another.
WITHOUT_EFFECT: dict[str, Any] = {
    "home": "/tmp/another",  # noqa: S108
    "warehouse": "/tmp/another/tables",  # noqa: S108
    "output": "/tmp/another/output",  # noqa: S108
    "aws_endpoint_url": "http://localhost:9000",
    "aws_region": "eu-west-3",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "spark_remote": "sc://cluster:15002",
    "customers_gone_share": 0.5,
    "engine_memory_mb": 512,
    "spark_workers": 2,
    "spark_memory_mb": 1024,
    "spark_properties": {"spark.eventLog.enabled": "true"},
    "kafka_bootstrap_servers": "broker:9092",
    "kafka_topic": "calls",
    "kafka_options": {"security.protocol": "SSL"},
    "kafka_timeout_seconds": 3,
    "landing_chunk_rows": 1000,
    "postgres_dsn": "postgresql://localhost/other",
    # Tariffs, catalogue and terms are tables, whose rows are asked.
    "rate_plans": installed_source.__code__.co_filename,
    "product_catalog": installed_source.__code__.co_filename,
    "billing_terms": installed_source.__code__.co_filename,
    "tax_pct": "19",
    "discount_pct": "4.25",
    "partitions_start": dt.date(2024, 1, 1),
    "malformed_share": Decimal("0.5"),
    "accounts": installed_source.__code__.co_filename,
    "approver_is_not_closer": True,
    # What a close does: a run makes drafts.
    "invoice_formats": "xml",
    "zero_bills": "skip",
    "review_factor": 5,
    "back_charge_months": 6,
    "billing_day": 9,
    "short_retention": True,
    "retention_days": 60,
    "target_file_mb": 10,
    "maintenance_hour": 2,
    "sensor_interval_seconds": 60,
    "outage_minutes": 10,
    "silent_hours": 6,
    "failure_webhook": "https://example.com/hook",
    "dagster_storage": "postgres",
    "dagster_postgres_url": "postgresql://localhost/dagster",
}


@pytest.fixture(autouse=True, scope="module")
def _installed_code_is_read_once() -> Iterator[None]:
    """What was read of a source stays the same, and serves every test that asks for rules by that source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rule_digest, "Code", cache(Code))
        patch.setattr(rule_digest, "installed_code", cache(code.installed_code))
        # A test changes a few modules, and the trees of the others are the same.
        patch.setattr(code._Module, "read", cache(code._Module.read))
        patch.setattr(code._Scan, "of", cache(code._Scan.of))
        yield


def digests(
    settings: Settings = SETTINGS,
    source: Callable[[str], str | None] = installed_source,
    record_types: RecordTypes = RECORD_TYPES,
) -> dict[str, str]:
    rules = Rules(ASSETS, settings, settings.engine, record_types, source)
    return {name: rules.of(stage) for name, stage in OF_RULES.items()}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return digests()


def differ(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_each_setting_is_looked_at_here() -> None:
    assert set(CHANGES) | set(WITHOUT_EFFECT) == set(Settings.model_fields)


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_counts_for_the_stages_that_go_by_it(name: str, before: dict[str, str]) -> None:
    value, stages = CHANGES[name]
    assert getattr(SETTINGS, name) != value
    assert differ(before, digests(SETTINGS.replaced(**{name: value}))) == stages


def test_settings_without_effect_count_nowhere(before: dict[str, str]) -> None:
    changed = SETTINGS.replaced(**WITHOUT_EFFECT)
    assert [name for name in WITHOUT_EFFECT if getattr(changed, name) == getattr(SETTINGS, name)] == []
    assert differ(before, digests(changed)) == set()


def of_modules(change: Callable[[str], str], modules: Iterable[Any]) -> Callable[[str], str | None]:
    names = {module.__name__ for module in modules}

    def source(name: str) -> str | None:
        text = installed_source(name)
        return change(text) if text is not None and name in names else text

    return source


def with_other_words(text: str) -> str:
    """Another docstring everywhere, a comment on top, and a line more between the statements."""
    tree = ast.parse(text)
    lines = text.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            said = node.body[0]
            assert said.end_lineno is not None
            lines[said.lineno - 1 : said.end_lineno] = [
                " " * said.col_offset + '"""Other words."""',
                *[""] * (said.end_lineno - said.lineno),
            ]
    return "# A comment.\n\n" + "\n".join(lines) + "\n# Another one.\n"


@pytest.mark.thorough
def test_words_about_the_code_count_nowhere(before: dict[str, str]) -> None:
    source = of_modules(with_other_words, [mediation, rating, billing, invoice_document, dashboard_panels])
    assert source(rating.__name__) != installed_source(rating.__name__)
    assert differ(before, digests(source=source)) == set()


@pytest.mark.parametrize(
    ("module", "old", "new", "stages"),
    [
        (billing, "F.lit(0)", "F.lit(1)", {"billing"}),
        (mediation, "alias[1]", "alias[0]", {"mediation"}),
        (invoice_document, "def ", "def renamed_", {"billing"}),
    ],
)
def test_another_rule_counts_for_the_stages_that_go_by_it(
    module: types.ModuleType, old: str, new: str, stages: set[str], before: dict[str, str]
) -> None:
    assert old in (installed_source(module.__name__) or "")
    assert differ(before, digests(source=of_modules(lambda text: text.replace(old, new), [module]))) == stages


@pytest.mark.parametrize(
    "record_types",
    [
        pytest.param(RecordTypes((*RECORD_TYPES, MMS)), id="one more"),
        pytest.param(RecordTypes((VOICE, DATA)), id="one less"),
        pytest.param(RecordTypes((VOICE, SMS, replace(DATA, quantities=(VOLUME,)))), id="without a quantity"),
    ],
)
def test_other_record_types_in_force_count_for_every_stage(record_types: RecordTypes, before: dict[str, str]) -> None:
    """They are given to the definitions, so the code does not name them."""
    assert differ(before, digests(record_types=record_types)) == EVERY
    assert differ(digests(record_types=record_types), digests(record_types=RecordTypes(list(record_types)))) == set()


def test_the_code_of_a_record_type_counts_for_every_stage(before: dict[str, str]) -> None:
    source = of_modules(lambda text: text.replace("started=60", "started=1"), [voice])
    assert source(voice.__name__) != installed_source(voice.__name__)
    assert differ(before, digests(source=source)) == EVERY


@pytest.mark.thorough
def test_definitions_ask_for_the_record_types_that_they_were_given(before: dict[str, str], tmp_path: Path) -> None:
    given = {
        record_types: build_defs(Settings.load(home=tmp_path), record_types=record_types).resources["io_manager"]  # type: ignore[index]
        for record_types in (RECORD_TYPES, RecordTypes((*RECORD_TYPES, MMS)))
    }
    own, other = (io_manager.rules_of for io_manager in given.values())
    for table in ("cleaned_cdrs", "rated_cdrs", "period_charges", "facturation_complete"):
        assert own(table) == before[stage_of_table(table).name] != other(table)  # type: ignore[union-attr]


def test_rules_whose_source_is_not_there_cannot_be_told() -> None:
    """Then commits say nothing, and everything counts as changed."""
    rules = Rules(
        ASSETS,
        SETTINGS,
        "sail",
        source=lambda name: None if name.endswith("billing.assets") else installed_source(name),
    )
    assert rules.of_table("facturation_complete") is None
    assert rules.of_table("rated_cdrs") is not None
    assert rules.of_table("raw_cdrs") is None, "made by landing, which is about no day"


@pytest.mark.thorough
def test_what_installed_code_rests_on_is_kept_until_the_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stages = list(OF_RULES.values())
    read = [Rules(ASSETS, SETTINGS, SETTINGS.engine).settings_of(stage) for stage in stages]
    with monkeypatch.context() as patch:
        patch.setattr(rule_digest, "Code", None)
        assert digests() == before
        assert [Rules(ASSETS, SETTINGS, SETTINGS.engine).settings_of(stage) for stage in stages] == read
    examined: list[object] = []

    def examine(source: Callable[[str], str | None]) -> Code:
        examined.append(source)
        return Code(source)

    monkeypatch.setattr(rule_digest, "Code", examine)
    monkeypatch.setattr(rule_digest, "installed_code", lambda: "other code")
    assert digests() == before
    assert len(examined) == 1


# -- following names -------------------------------------------------------------------------------------------------------

PACKAGE = {
    "telecom_assets.a": '''
from telecom_assets import deep
from telecom_assets.b import helper as aid, Shape
from telecom_assets.reexported import moved
LIMIT = 3
UNUSED = 4
def body(context, unused_name):
    """Words."""
    from telecom_assets.late import later
    rows = aid(LIMIT)  # a comment
    return later(rows), deep.inner(rows), moved
def takes(shape: "Shape") -> None: ...
def hidden(LIMIT): return LIMIT
''',
    "telecom_assets.b": "def helper(n): return other(n)\ndef other(n): return n + 1\nclass Shape:\n    size = 1\n",
    "telecom_assets.late": "def later(rows): return rows\n",
    "telecom_assets.deep": "def inner(rows): return rows\ndef outer(rows): return rows\n",
    "telecom_assets.reexported": "from telecom_assets.origin import moved\n",
    "telecom_assets.origin": "moved = 1\nleft = 2\n",
}


def reached(name: str, package: dict[str, str] = PACKAGE) -> Reached:
    return Code(package.get).reached([("telecom_assets.a", name)])


def test_names_are_followed_to_where_they_are_defined() -> None:
    assert set(reached("body").named_by) == {
        ("telecom_assets.a", "body"),
        ("telecom_assets.a", "LIMIT"),
        ("telecom_assets.b", "helper"),
        ("telecom_assets.b", "other"),
        ("telecom_assets.late", "later"),
        ("telecom_assets.deep", "inner"),
        ("telecom_assets.origin", "moved"),
    }
    assert set(reached("takes").named_by) == {("telecom_assets.a", "takes"), ("telecom_assets.b", "Shape")}
    assert set(reached("hidden").named_by) == {("telecom_assets.a", "hidden")}, "a parameter hides the constant"


@pytest.mark.parametrize(
    ("module", "old", "new", "counts"),
    [
        ("telecom_assets.a", "LIMIT = 3", "LIMIT = 5", True),
        ("telecom_assets.b", "n + 1", "n + 2", True),
        ("telecom_assets.late", "return rows", "return [rows]", True),
        ("telecom_assets.deep", "def inner(rows): return rows", "def inner(rows): return 0", True),
        ("telecom_assets.origin", "moved = 1", "moved = 9", True),
        ("telecom_assets.a", "UNUSED = 4", "UNUSED = 5", False),
        ("telecom_assets.a", '"""Words."""', '"""Others."""', False),
        ("telecom_assets.a", "# a comment", "# another", False),
        ("telecom_assets.deep", "def outer(rows): return rows", "def outer(rows): return 0", False),
        ("telecom_assets.origin", "left = 2", "left = 3", False),
        ("telecom_assets.b", "size = 1", "size = 2", False),
    ],
)
def test_what_is_named_counts_and_nothing_else(module: str, old: str, new: str, counts: bool) -> None:
    assert old in PACKAGE[module]
    changed = {**PACKAGE, module: PACKAGE[module].replace(old, new)}
    assert (reached("body", changed).digest != reached("body").digest) is counts


def settings_of(body: str) -> set[str]:
    other = "def asks(settings): return settings.tax_pct\ndef blind(given): return given\n"
    package = {
        "telecom_assets.a": f"from telecom_assets.b import asks, blind\n{body}",
        "telecom_assets.b": other,
        Settings.__module__: installed_source(Settings.__module__) or "",
    }
    return set(reached("body", package).settings)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def body(deployment): return deployment.settings.currency", {"currency"}),
        ("def body(deployment):\n    settings = deployment.settings\n    return settings.currency", {"currency"}),
        ("def body(c):\n    period, settings = 1, c.settings\n    return settings.currency", {"currency"}),
        ("def body(settings): return settings.output_path", {"output", "home"}),
        ("def body(deployment): return asks(deployment.settings)", {"tax_pct"}),
        ("def body(deployment): return asks(settings=deployment.settings)", {"tax_pct"}),
        ("def body(deployment): return 1", set()),
        # Nobody can follow them: all of them count.
        ("def body(deployment): return blind(deployment.settings)", set(Settings.model_fields)),
        ("def body(settings): return getattr(settings, 'tax' + '_pct')", set(Settings.model_fields)),
        ("def body(settings): return [settings]", set(Settings.model_fields)),
        ("def body(settings): return settings.of_another_version", set(Settings.model_fields)),
    ],
)
def test_settings_count_where_they_are_read(body: str, expected: set[str]) -> None:
    assert settings_of(body) == expected
