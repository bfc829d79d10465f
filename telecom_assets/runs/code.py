"""The code that some functions rest on, read from the source of the two packages.

Belongs here: following names from one syntax tree to the next, and the digest of a tree. Does not belong here: for which
functions this is done (`rule_digest`). No module is imported for it.

A function rests on every function, class and constant of the packages that it names, and on all that these name in turn. Each
counts as its syntax tree without docstrings; comments are not in a tree. A file beside the code counts where the code names it
or its folder. A setting counts where a tree reads it (`settings.tax_pct`). Where a tree hands the settings to code that cannot
be followed, all settings count.
"""

import ast
import gc
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings

_PACKAGES = ("telecom_assets", "resources")
#: Classes that are not followed: settings count by their values, where a rule reads them.
_SOURCES = {(each.__module__, each.__name__) for each in (Deployment, Settings)}

#: A function, class or constant: its module, and its name there.
Symbol = tuple[str, str]


@dataclass(frozen=True)
class _Part:
    """A function, class or constant: its digest, the names in it, and the settings that it reads."""

    digest: str
    names: frozenset[Symbol]
    settings: frozenset[str]
    texts: frozenset[str]


@dataclass(frozen=True)
class Reached:
    """The code that some functions rest on: its digest, the settings that it reads, and how it was reached."""

    #: None where the source of one of the functions is missing.
    digest: str | None
    settings: frozenset[str]
    #: Each function, class and constant, with the one that first named it. Not among what is kept of installed code.
    named_by: Mapping[Symbol, Symbol | None] = field(default_factory=dict)


class Code:
    """The source of the packages, read on demand; each part is examined once."""

    def __init__(self, source: Callable[[str], str | None]) -> None:
        """source: the text of a module by its name, None where there is none (`installed_source`)."""
        self._source = source
        self._modules: dict[str, _Module | None] = {}
        self._parts: dict[tuple[Symbol, bool], _Part | None] = {}

    def reached(self, bodies: Iterable[Symbol]) -> Reached:
        """The code that some functions rest on. Decorators of the functions themselves do not count: they say how an asset is shown."""
        roots = set(bodies)
        named_by: dict[Symbol, Symbol | None] = dict.fromkeys(roots)
        waiting, parts = list(roots), dict[Symbol, _Part]()
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
        for path in sorted(path for path in self._files_beside_code if {path.name, path.parent.name} & texts):
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        settings = frozenset[str]().union(*(part.settings for part in parts.values()))
        return Reached(digest.hexdigest() if roots <= set(parts) else None, settings, named_by)

    @cached_property
    def _files_beside_code(self) -> list[Path]:
        """Files of the packages that are not Python code."""
        return [path for path in _files() if not path.suffix.startswith(".py")]

    def _module(self, name: str) -> "_Module | None":
        if name not in self._modules:
            text = self._source(name) if name.partition(".")[0] in _PACKAGES else None
            self._modules[name] = _Module.read(name, text) if text is not None else None
        return self._modules[name]

    def _part(self, symbol: Symbol, *, is_root: bool) -> _Part | None:
        if (symbol, is_root) not in self._parts:
            module = self._module(symbol[0])
            trees = module.defined.get(symbol[1]) if module is not None else None
            made = self._looked_at(module, trees, is_root=is_root) if module is not None and trees else None
            self._parts[symbol, is_root] = made
        return self._parts[symbol, is_root]

    def _looked_at(self, module: "_Module", trees: Sequence[ast.AST], *, is_root: bool) -> _Part:
        digest, names, texts = hashlib.sha256(), set[Symbol](), set[str]()
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

    def _resolved(self, module: "_Module", imported: Mapping[str, Symbol], name: str) -> Iterator[Symbol]:
        """Where a name, or `module.name`, of a tree is defined in the packages; nowhere for others."""
        first, _, attribute = name.partition(".")
        if first in module.defined:
            yield module.name, first
        elif first in imported:
            yield from self._defined(imported[first], attribute)

    def _defined(self, imported: Symbol, attribute: str) -> Iterator[Symbol]:
        """Where an imported name is defined. Of an imported module: the used attribute, or all of it where the module is passed on."""
        where, name = imported
        whole = self._module(f"{where}.{name}" if name else where)
        if whole is not None and attribute:
            yield from self._follow(whole, attribute)
        elif whole is not None:
            yield from ((whole.name, each) for each in whole.defined)
        elif (module := self._module(where)) is not None:
            yield from self._follow(module, name)

    def _follow(self, module: "_Module", name: str) -> Iterator[Symbol]:
        """Where a name of a module is defined: in the module, or where the module imports it from."""
        if name in module.defined:
            yield module.name, name
        elif module.imported.get(name, (module.name, name)) != (module.name, name):
            yield from self._defined(module.imported[name], "")

    # -- settings --------------------------------------------------------------------------------------------------

    def _settings_read(self, module: "_Module", imported: Mapping[str, Symbol], tree: ast.AST) -> set[str]:
        """The settings that a tree reads; all settings where it hands them to code that cannot be followed."""
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

    def _takes_settings(self, module: "_Module", imported: Mapping[str, Symbol], call: ast.Call) -> bool:
        """Whether the called function is in the packages and has a parameter `settings`: then its own tree shows what it reads."""
        for where, name in self._resolved(module, imported, _dotted(call.func)):
            owner = self._module(where)
            for each in owner.defined.get(name, []) if owner is not None else []:
                functions = [node for node in ast.walk(each) if isinstance(node, ast.FunctionDef)]
                if any(arg.arg == "settings" for function in functions for arg in function.args.args):
                    return True
        return False

    def _fields(self, name: str) -> set[str]:
        """The settings behind an attribute of Settings: a field, or the fields that a property is made from."""
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
    """One walk through a tree: its text without docstrings and line numbers, and the names in it."""

    parts: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    imported: dict[str, Symbol] = field(default_factory=dict)
    names_settings: bool = False

    @property
    def text(self) -> str:
        return " ".join(self.parts)

    @classmethod
    def of(cls, tree: ast.AST, *, without_decorators: bool) -> "_Scan":
        found = cls()
        found.add(tree, {"decorator_list"} if without_decorators else set())
        if isinstance(tree, ast.FunctionDef):
            # A parameter hides the name of the module that is called the same.
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
                # `module.name` counts as that name, not as the whole module.
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


#: Fields of a tree that are left out: they repeat what the place of a name says.
_UNTOLD = {"ctx", "type_comment", "kind"}


@dataclass(frozen=True)
class _Module:
    """A module: the names that it defines at its top, and those that it imports from the packages."""

    name: str
    defined: Mapping[str, list[ast.AST]]
    imported: Mapping[str, Symbol]

    @classmethod
    def read(cls, name: str, text: str) -> "_Module":
        tree = ast.parse(text)
        defined: dict[str, list[ast.AST]] = {}
        for node in tree.body:
            for each in _names_made(node):
                defined.setdefault(each, []).append(node)
        return cls(name, defined, _imports(tree.body))


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: trees are many objects without garbage, and the search for it takes three times the rest."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def installed_source(name: str) -> str | None:
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


def _imports(nodes: Iterable[ast.stmt]) -> dict[str, Symbol]:
    """Names that statements import from the packages: (module, name in it), the name empty for a module itself."""
    found: dict[str, Symbol] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: (str(node.module), each.name) for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname: (each.name, "") for each in node.names if each.asname}
        elif isinstance(node, ast.If | ast.Try):
            found |= _imports(node.body)
    return {name: symbol for name, symbol in found.items() if symbol[0].partition(".")[0] in _PACKAGES}


def _is_settings(node: ast.AST | None) -> bool:
    """Whether an expression is the settings. They are known by their name: all code calls them `settings`."""
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


def installed_code() -> str:
    """One digest of the text of all installed modules and of the files beside them, byte by byte: 20 ms, to examine them takes 500."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _files() if path.suffix != ".pyc"):
        digest.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    folders = (folder for package in _PACKAGES for folder in _folders(package))
    return (path for folder in folders for path in folder.rglob("*") if path.is_file())
