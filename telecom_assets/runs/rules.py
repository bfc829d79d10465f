"""By which rules a stage makes its tables, as one text that differs when they do.

Belongs here: what of the code, of the settings and of the installed engines counts for a stage, all of it computed. Does not
belong here: what a commit says of it (`resources.provenance`), and what follows when it is another (`plan`).

Counted is, from the bodies of the stage's assets on, every function, class and constant of the two packages that they name,
and what these name, as syntax trees without docstrings; comments are not in a tree. Files beside the code count where the
code names them or their folder. A setting counts where that code reads it (`settings.tax_pct`); where settings go to somebody
who cannot be followed, all of them do. What Connections reads of them says where something is, not what a rule says.
"""

import ast
import gc
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg

from telecom_assets.connections import Connections
from telecom_assets.runs.stages import STAGES, Stage, stage_of_table
from telecom_assets.settings import Settings

_PACKAGES = ("telecom_assets", "resources")
#: What evaluates the rules.
_ENGINES = ("pyspark", "pysail", "deltalake", "pyarrow")
#: Where things lie: tables and documents are looked at themselves.
_PLACES = {"home", "warehouse", "output"}
#: Where settings come from: they count by their values, where a rule reads them.
_SOURCES = {(each.__module__, each.__name__) for each in (Connections, Settings)}

_Symbol = tuple[str, str]


class Rules:
    """The rules of the stages, under some settings. Read from the code once, when they are first asked for."""

    def __init__(self, assets: Iterable[Any], settings: Settings, engine: str) -> None:
        """assets: the definitions of the project. engine: the one that evaluates, by name."""
        self._bodies: dict[str, _Symbol] = {}
        for each in assets:
            if isinstance(each, dg.AssetsDefinition) and each.is_executable:
                function: Any = each.op.compute_fn
                body = inspect.unwrap(function.decorated_fn)
                self._bodies |= {key.path[-1]: (body.__module__, body.__qualname__) for key in each.keys}
        self._settings = settings
        self._engine = [engine, *(f"{name} {installed_version(name)}" for name in _ENGINES)]

    def of(self, stage: Stage) -> str:
        """Digest of the rules of a stage."""
        settings = self._settings.model_dump(mode="json", include=self.settings_of(stage))
        text = json.dumps([self._engine, self._reached[stage.name].digest, settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def of_table(self, table: str) -> str | None:
        """Digest of the rules by which a table is made; None for one of no stage that is about days or months."""
        stage = stage_of_table(table)
        return self.of(stage) if stage is not None and stage.grain else None

    def settings_of(self, stage: Stage) -> set[str]:
        """The settings that a stage depends on, by their names."""
        return set(self._reached[stage.name].settings - _PLACES)

    @cached_property
    def _reached(self) -> "Mapping[str, Reached]":
        """What the stages rest on that are about days or months: all at once, for they share most of it."""
        with _no_collection():
            code = Code()
            return {
                stage.name: code.reached(self._bodies[asset] for asset in stage.assets)
                for stage in STAGES
                if stage.grain
            }


@dataclass(frozen=True)
class _Part:
    """A function, class or constant: its digest, and what it names and reads."""

    digest: str
    names: frozenset[_Symbol]
    settings: frozenset[str]
    texts: frozenset[str]


@dataclass(frozen=True)
class Reached:
    """What some functions rest on: digest of all of it, the settings that it reads, and how it was come by."""

    digest: str
    settings: frozenset[str]
    #: Each function, class and constant, with the one that first named it.
    named_by: Mapping[_Symbol, _Symbol | None]


class Code:
    """The source of the packages, as far as it was asked for; each part is looked at once."""

    def __init__(self, source: Callable[[str], str | None] | None = None) -> None:
        """source: the text of a module by its name, None where there is none (default: as it is installed)."""
        self._source = source or _installed_source
        self._modules: dict[str, _Module | None] = {}
        self._parts: dict[tuple[_Symbol, bool], _Part | None] = {}

    def reached(self, bodies: Iterable[_Symbol]) -> Reached:
        """What some functions rest on; their own decorators say how they are shown, not what they make."""
        roots = set(bodies)
        named_by: dict[_Symbol, _Symbol | None] = dict.fromkeys(roots)
        waiting, parts = list(roots), dict[_Symbol, _Part]()
        while waiting:
            symbol = waiting.pop()
            part = self._part(symbol, is_root=symbol in roots)
            if part is None:
                continue
            parts[symbol] = part
            new = part.names - set(named_by) - _SOURCES
            named_by |= dict.fromkeys(new, symbol)
            waiting += new
        texts = frozenset[str]().union(*(part.texts for part in parts.values()))
        digest = hashlib.sha256()
        for symbol in sorted(parts):
            digest.update(f"{symbol} {parts[symbol].digest}\n".encode())
        for path in sorted(path for path in _files_beside_code() if {path.name, path.parent.name} & texts):
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        settings = frozenset[str]().union(*(part.settings for part in parts.values()))
        return Reached(digest.hexdigest(), settings, named_by)

    def _module(self, name: str) -> "_Module | None":
        if name not in self._modules:
            text = self._source(name) if name.partition(".")[0] in _PACKAGES else None
            self._modules[name] = _Module.read(name, text) if text is not None else None
        return self._modules[name]

    def _part(self, symbol: _Symbol, *, is_root: bool) -> _Part | None:
        if (symbol, is_root) not in self._parts:
            module = self._module(symbol[0])
            trees = module.defined.get(symbol[1]) if module is not None else None
            made = self._looked_at(module, trees, is_root=is_root) if module is not None and trees else None
            self._parts[symbol, is_root] = made
        return self._parts[symbol, is_root]

    def _looked_at(self, module: "_Module", trees: Sequence[ast.AST], *, is_root: bool) -> _Part:
        digest, names, texts = hashlib.sha256(), set[_Symbol](), set[str]()
        settings: set[str] = set()
        for tree in trees:
            scan = _Scan.of(tree, without_decorators=is_root)
            digest.update(scan.text.encode(errors="surrogatepass"))
            texts |= scan.texts
            imported = {**module.imported, **scan.imported}
            for name in scan.names:
                names |= set(self._resolved(module, imported, name))
            if scan.names_settings:
                settings |= self._settings_read(module, imported, tree)
        return _Part(digest.hexdigest(), frozenset(names), frozenset(settings), frozenset(texts))

    def _resolved(self, module: "_Module", imported: Mapping[str, _Symbol], name: str) -> Iterator[_Symbol]:
        """Where a name, or `module.name`, of a tree is defined in the packages; nowhere for others."""
        first, _, attribute = name.partition(".")
        if first in module.defined:
            yield module.name, first
        elif first in imported:
            yield from self._defined(imported[first], attribute)

    def _defined(self, imported: _Symbol, attribute: str) -> Iterator[_Symbol]:
        """Where an imported name is defined. Of a module: what is asked of it, or all of it where it is handed on."""
        where, name = imported
        whole = self._module(f"{where}.{name}" if name else where)
        if whole is not None and attribute:
            yield from self._follow(whole, attribute)
        elif whole is not None:
            yield from ((whole.name, each) for each in whole.defined)
        elif (module := self._module(where)) is not None:
            yield from self._follow(module, name)

    def _follow(self, module: "_Module", name: str) -> Iterator[_Symbol]:
        """Where a name of a module is defined: there, or where the module has it from."""
        if name in module.defined:
            yield module.name, name
        elif name in module.imported:
            yield from self._defined(module.imported[name], "")

    # -- settings --------------------------------------------------------------------------------------------------

    def _settings_read(self, module: "_Module", imported: Mapping[str, _Symbol], tree: ast.AST) -> set[str]:
        """The settings that a tree reads; all of them where it hands them to whom nobody can follow."""
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        read: set[str] = set()
        for node in ast.walk(tree):
            if not _is_settings(node) or _is_stored(node):
                continue
            user = parents.get(node)
            if isinstance(user, ast.Attribute):
                read |= self._fields(user.attr)
                continue
            while isinstance(user, ast.keyword | ast.Tuple | ast.BoolOp):
                user = parents.get(user)
            kept = isinstance(user, ast.Assign) and any(_is_settings(each) for each in ast.walk(user))
            if not kept and not (isinstance(user, ast.Call) and self._takes_settings(module, imported, user)):
                read |= set(Settings.model_fields)
        return read

    def _takes_settings(self, module: "_Module", imported: Mapping[str, _Symbol], call: ast.Call) -> bool:
        """Whether what is called is ours and has settings by that name: what it reads of them is seen there."""
        for where, name in self._resolved(module, imported, _dotted(call.func)):
            owner = self._module(where)
            for each in owner.defined.get(name, []) if owner is not None else []:
                functions = [node for node in ast.walk(each) if isinstance(node, ast.FunctionDef)]
                if any(arg.arg == "settings" for function in functions for arg in function.args.args):
                    return True
        return False

    def _fields(self, name: str) -> set[str]:
        """The settings behind an attribute of Settings: a field, or what a property is made from."""
        if name in Settings.model_fields:
            return {name}
        module = self._module(Settings.__module__)
        for settings in module.defined[Settings.__name__] if module is not None else []:
            for each in getattr(settings, "body", []):
                if isinstance(each, ast.FunctionDef) and each.name == name:
                    own = [node for node in ast.walk(each) if isinstance(node, ast.Attribute)]
                    asked = [node.attr for node in own if isinstance(node.value, ast.Name) and node.value.id == "self"]
                    return {found for attribute in asked for found in self._fields(attribute)}
        return set(Settings.model_fields)


@dataclass
class _Scan:
    """One way through a tree: its text without docstrings and places, and what it names."""

    parts: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    imported: dict[str, _Symbol] = field(default_factory=dict)
    names_settings: bool = False

    @property
    def text(self) -> str:
        return " ".join(self.parts)

    @classmethod
    def of(cls, tree: ast.AST, *, without_decorators: bool) -> "_Scan":
        found = cls()
        found.add(tree, {"decorator_list"} if without_decorators else set())
        if isinstance(tree, ast.FunctionDef):
            # A parameter hides what the module has of its name.
            own = {arg.arg for arg in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)}
            found.names = {name for name in found.names if name.partition(".")[0] not in own}
        return found

    def add(self, node: ast.AST, without: Collection[str] = ()) -> None:
        kind = type(node)
        self.parts.append(kind.__name__)
        if kind is ast.Name:
            self.names.add(node.id)  # type: ignore[attr-defined]
            self.names_settings = self.names_settings or node.id == "settings"  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            self.names_settings = self.names_settings or _is_settings(node) or _is_settings(node.value)  # type: ignore[attr-defined]
            if dotted := _dotted(node):
                # Not the module alone: what is asked of it.
                self.names.add(dotted)
                self.parts.append(dotted)
                return
        elif kind is ast.ImportFrom or kind is ast.Import:
            self.imported |= _imports([node])  # type: ignore[list-item]
        for name in kind._fields:
            if name not in without and name not in _UNTOLD:
                self._add_field(name, getattr(node, name, None))
        if kind is ast.Constant and isinstance(node.value, str):  # type: ignore[attr-defined]
            self.texts.add(node.value)  # type: ignore[attr-defined]

    def _add_field(self, name: str, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.add(value)
            if name in ("annotation", "returns"):
                self._written(value)
        elif isinstance(value, list):
            self.parts.append(f"{name}[")
            for each in value:
                if not isinstance(each, ast.AST):
                    self.parts.append(repr(each))
                elif not _is_text(each):
                    self.add(each)
            self.parts.append("]")
        elif value is not None:
            self.parts.append(repr(value))

    def _written(self, annotation: ast.AST) -> None:
        """Names in annotations that stand in quotes."""
        for each in ast.walk(annotation):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                self.names |= set(re.findall(r"\w+", each.value))


#: Parts of a tree that say nothing: how a name is used follows from where it stands.
_UNTOLD = {"ctx", "type_comment", "kind"}


@dataclass(frozen=True)
class _Module:
    """A module: what it defines at its top, and what it has from others of the packages."""

    name: str
    defined: Mapping[str, list[ast.AST]]
    imported: Mapping[str, _Symbol]

    @classmethod
    def read(cls, name: str, text: str) -> "_Module":
        tree = ast.parse(text)
        defined: dict[str, list[ast.AST]] = {}
        for node in tree.body:
            for each in _names_made(node):
                defined.setdefault(each, []).append(node)
        return cls(name, defined, _imports(tree.body))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Trees are many objects that hold no garbage: to look for it while they are made takes three times as long as the rest."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _installed_source(name: str) -> str | None:
    """The text of a module, without importing it or the packages above it."""
    package, *inner = name.split(".")
    for folder in _folders(package):
        place = folder.joinpath(*inner)
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path.read_text(encoding="utf-8")
    return None


def _folders(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec is not None else []


def _names_made(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module makes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.If | ast.Try | ast.With | ast.For):
        stored = (each for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store))
        yield from {each.id for each in stored}


def _imports(nodes: Iterable[ast.stmt]) -> dict[str, _Symbol]:
    """Names that statements import from the packages: (module, name in it), the name empty for a module itself."""
    found: dict[str, _Symbol] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: (str(node.module), each.name) for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname: (each.name, "") for each in node.names if each.asname}
        elif isinstance(node, ast.If | ast.Try):
            found |= _imports(node.body)
    return {name: symbol for name, symbol in found.items() if symbol[0].partition(".")[0] in _PACKAGES}


def _is_settings(node: ast.AST | None) -> bool:
    """Whether an expression is the settings: by the name that everybody gives them."""
    return (isinstance(node, ast.Name) and node.id == "settings") or (
        isinstance(node, ast.Attribute) and node.attr in ("settings", "_settings")
    )


def _is_stored(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store)


def _dotted(node: ast.AST) -> str:
    """`name`, or `name.attribute`; empty for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _files_beside_code() -> list[Path]:
    """Files of the packages that are no code."""
    folders = (folder for package in _PACKAGES for folder in _folders(package))
    files = (path for folder in folders for path in folder.rglob("*"))
    return [path for path in files if path.is_file() and not path.suffix.startswith(".py")]
