"""JSON text: a message as one flat object that the parsers of both engines read alike.

Belongs here: the grammar of RFC 8259 as regular expressions, and the rewriting of a text before a parser sees it. Does not
belong here: the meaning of the fields (`telecom_assets.intake.admission`).

Three facts shape the expressions. Rust's regular expressions have no look-around and no possessive loops. Java's recurse once
per iteration of a group, so a loop over groups needs a bounded text. A loop over one character class is safe at any size.
"""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

#: How deep arrays and objects may be nested inside the message's own object.
MAX_DEPTH = 8
#: The texts that replace a nested array or object in a field that must not be null.
NESTED_ARRAY, NESTED_OBJECT = "[…]", "{…}"

_WS = r"[ \t\r\n]*"
_STRING = r'"[^"\\\x00-\x1f]*"'
#: Numbers whose text both engines give back as it was: up to 15 digits, no exponent, no tiny fraction, no minus zero,
#: no zeros at the end.
_DIGITS = r"[0-9]{0,8}[1-9]"
_PLAIN_NUMBER = rf"-?(?:[1-9][0-9]{{0,5}}\.(?:0|{_DIGITS})|0\.[1-9](?:{_DIGITS})?|0\.0[1-9](?:{_DIGITS})?|[1-9][0-9]{{0,14}})|0(?:\.0)?"
_PLAIN_MEMBER = rf"{_WS}{_STRING}{_WS}:{_WS}(?:{_STRING}|{_PLAIN_NUMBER}|true|false|null){_WS}"
#: One flat object without escapes and with plain numbers: what a well-behaved producer sends.
_PLAIN_OBJECT = rf"\A{_WS}\{{(?:{_PLAIN_MEMBER},)*{_PLAIN_MEMBER}\}}{_WS}\z"
#: At most 204 members, so that Java's recursion stays far from the end of a 1 MB stack; a real CDR has 300 characters.
_PLAIN_MAX_LENGTH = 1024

_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SURROGATE_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = r'\\["\\/bfnrt]|\\u[0-9a-cA-CefEF][0-9a-fA-F]{3}|\\u[dD][0-7][0-9a-fA-F]{2}'
#: Replaces a token while the grammar is tried. A control character, since those cannot occur in a JSON object.
_MARK = "\x01"
_BACKSLASH, _QUOTE = "\x02", "\x03"
#: Marks while nested values are looked for: around their first bracket, between tokens, around their last bracket; and in place
#: of a value that was found.
_BEGIN, _BETWEEN, _END, _NESTED = "\x04", "\x05", "\x06", "\x07"
#: Marks while the grammar of nested values is tried: a value, a name with its colon, a member; a further value, a further member.
_VALUE, _NAME, _MEMBER, _VALUES, _MEMBERS = "\x01", "\x02", "\x03", "\x04", "\x05"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"


def flat_object(text: Column, *, none_when_nested: Sequence[str]) -> Column:
    """The text as a flat JSON object that both engines parse alike, or NULL when the text is no JSON object.

    Arrays and objects as values, up to MAX_DEPTH deep, are skipped: such a value is null for the names `none_when_nested`,
    and NESTED_ARRAY or NESTED_OBJECT for any other name.
    """
    plain = (F.length(text) <= _PLAIN_MAX_LENGTH) & text.rlike(_PLAIN_OBJECT)
    flat = _with_escapes(_quote_numbers(_without_escapes(text)))
    nested = _with_escapes(_quote_numbers(_skip_nested(_without_escapes(text), none_when_nested)))
    return F.when(plain, text).when(_is_flat_object(text), flat).when(_is_nested_object(text), nested)


def _is_flat_object(text: Column) -> Column:
    """RFC 8259 grammar of one object without nesting, in passes that each replace one kind of token.

    Escapes become a plain character, strings become `""`, members become a mark, members after the first disappear.
    What is left of a flat object is then `{mark}`, or `{}` before the last pass.
    """
    members = _replace(_empty_strings(text), rf'""{_WS}:{_WS}(?:""|{_NUMBER}|true|false|null){_WS}', _MARK)
    single = _replace(members, rf",{_WS}{_MARK}", "")
    return ~text.rlike(_CONTROL) & (
        members.rlike(rf"\A{_WS}\{{{_WS}\}}{_WS}\z") | single.rlike(rf"\A{_WS}\{{{_WS}{_MARK}\}}{_WS}\z")
    )


def _is_nested_object(text: Column) -> Column:
    """RFC 8259 grammar of one object whose values may be nested, at most MAX_DEPTH deep.

    Names, scalars and then, level by level from the innermost, arrays and objects become one mark each. Values and members
    behind a comma get marks of their own, so that a level is a bracket, one mark, a run of those other marks, and a bracket.
    """
    names = _replace(_empty_strings(text), rf'""{_WS}:', _NAME)
    scalars = _replace(names, rf'""|{_NUMBER}|true|false|null', _VALUE)
    level = _replace(scalars, r"[ \t\r\n]+", "")
    for _ in range(1 + MAX_DEPTH):
        members = F.replace(level, F.lit(_NAME + _VALUE), F.lit(_MEMBER))
        further = F.replace(members, F.lit("," + _MEMBER), F.lit(_MEMBERS))
        runs = F.replace(further, F.lit("," + _VALUE), F.lit(_VALUES))
        whole = rf"\{{(?:{_MEMBER}{_MEMBERS}*)?\}}|\[(?:{_VALUE}{_VALUES}*)?\]"
        level = _replace(runs, whole, _VALUE)
    return ~text.rlike(_CONTROL) & text.rlike(rf"\A{_WS}\{{") & (level == _VALUE)


def _empty_strings(text: Column) -> Column:
    """Every string of a JSON text as `""`."""
    no_escapes = _replace(_replace(text, _SURROGATE_PAIR, "_"), _ESCAPE, "_")
    return _replace(no_escapes, _STRING, '""')


def _without_escapes(text: Column) -> Column:
    """The text without escaped backslashes and quotes (they pair from the left), so that a string ends at the next quote."""
    return F.replace(F.replace(text, F.lit(r"\\"), F.lit(_BACKSLASH)), F.lit(r"\""), F.lit(_QUOTE))


def _with_escapes(text: Column) -> Column:
    return F.replace(F.replace(text, F.lit(_QUOTE), F.lit(r"\"")), F.lit(_BACKSLASH), F.lit(r"\\"))


def _skip_nested(text: Column, none_when_nested: Sequence[str]) -> Column:
    """The object with its nested values replaced. text: an object `_without_escapes`.

    Strings and brackets are matched together, from left to right, so that a bracket inside a string is never touched. All get
    marks. The marks of strings and of the object's own brackets are removed; then values between marked brackets are replaced,
    from the innermost.
    """
    tokens = r'("[^"]*")|([\[{])|([\]}])'
    marked = _replace(text, tokens, f"$1{_BEGIN}$2{_BETWEEN}$3{_END}")
    brackets = F.replace(marked, F.lit(_BEGIN + _BETWEEN + _END), F.lit(""))
    opened = _replace(brackets, rf"\A{_WS}{_BEGIN}\{{{_BETWEEN}{_END}", "{")
    level = _replace(opened, rf"{_BEGIN}{_BETWEEN}\}}{_END}{_WS}\z", "}")
    for _ in range(MAX_DEPTH):
        innermost = rf"{_BEGIN}([\[{{]){_BETWEEN}{_END}[^{_BEGIN}]*{_BEGIN}{_BETWEEN}[\]}}]{_END}"
        level = _replace(level, innermost, f"{_NESTED}$1")
    names = "|".join(map(_spelt, none_when_nested))
    nulls = _replace(level, rf'("(?:{names})"{_WS}:){_WS}{_NESTED}[\[{{]', "$1 null")
    arrays = F.replace(nulls, F.lit(f"{_NESTED}["), F.lit(f'"{NESTED_ARRAY}"'))
    return F.replace(arrays, F.lit(f"{_NESTED}{{"), F.lit(f'"{NESTED_OBJECT}"'))


def _spelt(name: str) -> str:
    """A name as a regular expression: each (ASCII) character as it is or escaped, `a` or `\\u0061`."""

    def spelt(character: str) -> str:
        digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):04x}")
        return rf"(?:{character}|\\u{digits})"

    return "".join(map(spelt, name))


def _quote_numbers(text: Column) -> Column:
    """The object with its numbers as strings, so that their digits survive the parser, and with very long names cut.

    text: a flat object `_without_escapes`. Strings and numbers are matched together, from left to right, so that a number
    inside a string is never touched. Both get a pair of marks; a string's marks are removed, a number's become quotes. Names of
    more than a thousand characters are cut: no contract field has one, and Spark's parser fails at 50,000.
    """
    tokens = rf'"[^"]{{1000}}[^"]*"{_WS}(:)|("[^"]*")|({_NUMBER})'
    marked = F.regexp_replace(text, F.lit(tokens), F.lit(f"$1$2{_MARK}$3{_MARK}"))
    named = F.replace(marked, F.lit(f":{_MARK}{_MARK}"), F.lit('"":'))
    without = F.replace(named, F.lit(f'"{_MARK}{_MARK}'), F.lit('"'))
    return F.replace(without, F.lit(_MARK), F.lit('"'))


def _replace(text: Column, pattern: str, replacement: str) -> Column:
    return F.regexp_replace(text, F.lit(pattern), F.lit(replacement))
