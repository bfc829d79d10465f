"""The digest of the rules by which a stage makes its tables.

Belongs here: which code, settings, record types and engine versions count for a stage. Does not belong here: how the code is
read (`code`), where a commit has the digest (`resources.provenance`), what is due when the digest is another one (`plan`).

The code that counts is the code that the bodies of the stage's assets rest on (`Code`); the settings that count are those that
this code reads. Settings that only Deployment reads do not count: they say where something is, not how it is made.
"""

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from importlib.metadata import version as installed_version
from typing import Any

import dagster as dg

from resources.user_cache import cached_text
from telecom_assets.home.settings import Settings
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.runs.code import Code, Reached, Symbol, installed_code, installed_source, no_collection
from telecom_assets.runs.stages import STAGES, Stage, stage_of_table

#: Packages that evaluate the rules; their versions count.
_ENGINES = ("pyspark", "pysail", "deltalake", "pyarrow")
#: Settings that say where tables and documents are. They do not count: the tables and documents themselves are examined.
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
        """assets: the definitions of the project. engine: name of the engine in use. source: see `Code`.

        record_types: those in force, which may differ from the ones that the code names.
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
        """Digest of the rules of a table; None where the code cannot be read, or the stage is neither daily nor monthly."""
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
        """The code that daily and monthly stages rest on. Read for all stages at once, since they share most of it.

        What was found in installed code is kept in the user's cache: it takes half a second of each command.
        """
        roots = {stage.name: sorted(self._bodies[asset] for asset in stage.assets) for stage in STAGES if stage.grain}
        if self._source is not installed_source:
            return _reached(roots, self._source)
        version = json.dumps([sys.version, installed_code(), roots])
        text = cached_text("code-of-rules.json", version, lambda: _to_json(_reached(roots, self._source)))
        return {name: Reached(digest, frozenset(settings)) for name, (digest, settings) in json.loads(text).items()}


def _reached(roots: Mapping[str, Iterable[Symbol]], source: Callable[[str], str | None]) -> dict[str, Reached]:
    with no_collection():
        code = Code(source)
        return {name: code.reached(bodies) for name, bodies in roots.items()}


def _to_json(reached: Mapping[str, Reached]) -> str:
    return json.dumps({name: [each.digest, sorted(each.settings)] for name, each in reached.items()})
