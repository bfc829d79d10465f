"""By which rules a stage makes its tables, as one text that differs when they do.

Belongs here: what of the code, of the settings, of the record types in force and of the installed engines counts for a
stage. Does not belong here: how that is read from the code (`code`), what a commit says of it (`resources.provenance`), what
follows when it is another (`plan`).

Of the code that counts which the bodies of the stage's assets rest on (`Code`); of the settings those that this code reads.
What Deployment reads of them says where something is, not what a rule says.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from importlib.metadata import version as installed_version
from typing import Any

import dagster as dg

from telecom_assets.home.settings import Settings
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.runs.code import Code, Reached, Symbol, installed_source, no_collection
from telecom_assets.runs.stages import STAGES, Stage, stage_of_table

#: What evaluates the rules.
_ENGINES = ("pyspark", "pysail", "deltalake", "pyarrow")
#: Where things lie: tables and documents are looked at themselves.
_PLACES = {"home", "warehouse", "output"}


class Rules:
    """The rules of the stages, under some settings. Read from the code once, when they are first asked for."""

    def __init__(
        self,
        assets: Iterable[Any],
        settings: Settings,
        engine: str,
        record_types: RecordTypes = RECORD_TYPES,
        source: Callable[[str], str | None] = installed_source,
    ) -> None:
        """assets: the definitions of the project. engine: the one that evaluates, by name. source: see `Code`.

        record_types: those in force, which need not be the ones that the code names.
        """
        self._bodies: dict[str, Symbol] = {}
        for each in assets:
            if isinstance(each, dg.AssetsDefinition) and each.is_executable:
                function: Any = each.op.compute_fn
                body = inspect.unwrap(function.decorated_fn)
                self._bodies |= {key.path[-1]: (body.__module__, body.__qualname__) for key in each.keys}
        self._settings, self._engine, self._record_types, self._source = settings, engine, record_types, source

    def of(self, stage: Stage) -> str:
        """Digest of the rules of a stage."""
        settings = self._settings.model_dump(mode="json", include=self.settings_of(stage))
        text = json.dumps(
            [self._engines, self._reached[stage.name].digest, repr(self._record_types), settings], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def of_table(self, table: str) -> str | None:
        """Digest of the rules by which a table is made; None where it cannot be told, or the stage is about no days or month."""
        stage = stage_of_table(table)
        if stage is None or not stage.grain or self._reached[stage.name].digest is None:
            return None
        return self.of(stage)

    def settings_of(self, stage: Stage) -> set[str]:
        """The settings that a stage depends on, by their names."""
        return set(self._reached[stage.name].settings - _PLACES)

    @cached_property
    def _engines(self) -> list[str]:
        return [self._engine, *(f"{name} {installed_version(name)}" for name in _ENGINES)]

    @cached_property
    def _reached(self) -> Mapping[str, Reached]:
        """What the stages rest on that are about days or months: all at once, for they share most of it."""
        with no_collection():
            code = Code(self._source)
            return {
                stage.name: code.reached(self._bodies[asset] for asset in stage.assets)
                for stage in STAGES
                if stage.grain
            }
