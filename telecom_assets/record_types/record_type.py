"""What a record type is: its fields, what is measured of an event, what is charged, how the product is named.

Belongs here: the words in which the files beside this one describe a record type each. Does not belong here: any record
type, any table, any DataFrame: admission, mediation, rating, the tables and the generator derive what they need.
Terms: 3GPP TS 32.298.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from resources.expected_errors import ExpectedError

#: The most that an event may measure (seconds, megabytes), where its quantity does not say another limit.
MAX_QUANTITY = 10_000_000
#: The fields of every record, as they are named in a message.
COMMON_FIELDS = ("record_ID", "record_type", "timestamp", "cell_id", "technology")
#: Ends of the products that mediation makes by where the other party is.
NATIONAL, INTERNATIONAL = "NAT", "INT"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class RecordTypeError(ExpectedError, ValueError):
    """A record type contradicts itself or another one. The message names it, what is wrong and what is expected."""


@dataclass(frozen=True)
class WholeNumbers:
    """Generated values of a quantity: whole numbers from 1 on, exponential; shares of them are negative or missing."""

    mean: int
    longest: int
    negative: float
    missing: float


@dataclass(frozen=True)
class Hundredths:
    """Generated values of a quantity: steps of a hundredth up to `longest`, with `skew` above 1 more small ones than large."""

    longest: int
    skew: float
    missing: float


@dataclass(frozen=True)
class Quantity:
    """A number that a record says of its event. A column of cleaned_cdrs, and one of raw_cdrs as text, have its field's name.

    A `judged` quantity that is no number (`invalid_<noun>`) or more than `most` (`quantity_out_of_range`) rejects the record. A
    quantity that is not judged is NULL in both cases, as if it were missing.
    """

    #: Field of the message, with its unit in the name: duration_sec.
    field: str
    #: What reasons of rejection call it: invalid_duration.
    noun: str
    #: The unit in words, for descriptions of columns.
    unit: str
    #: Decimals that are kept.
    scale: int
    #: Description of the column of cleaned_cdrs.
    doc: str
    most: int = MAX_QUANTITY
    judged: bool = True
    #: Whether a record without it is rejected (`missing_<noun>`). Else the event needs review, and is rated all the same.
    required: bool = False
    #: Whether zero and less are rejected (`non_positive_<noun>`). Such a quantity is judged after rounding: 0.0004 s are
    #: stored as 0.000 s, which is no call. Any other is judged as it is written, and rejected (`invalid_<noun>`) below zero.
    positive: bool = False
    #: Whether the policy for missing volumes (TELECOM_MISSING_VOLUME_POLICY) applies where it is missing.
    imputed: bool = False
    generated: WholeNumbers | Hundredths | None = None

    @property
    def type(self) -> str:
        """SQL type of its column."""
        return f"decimal(18,{self.scale})"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Its own reasons of rejection, in the order in which they are tried."""
        return (
            *((f"missing_{self.noun}",) if self.required else ()),
            *((f"invalid_{self.noun}",) if self.judged else ()),
            *((f"non_positive_{self.noun}",) if self.positive else ()),
        )


@dataclass(frozen=True)
class Units:
    """The units that an event is charged for: one for the event, its quantity as it is, or the started units of its quantity."""

    #: Name of one unit in the catalogue: event, minute, MB.
    name: str
    #: Field of the quantity; None: each event is one unit.
    quantity: str | None = None
    #: How much of the quantity is one unit; a started unit counts as a whole one. None: the quantity itself, not rounded up.
    started: int | None = None


@dataclass(frozen=True)
class RecordType:
    """One kind of usage. Raises RecordTypeError for one that contradicts itself."""

    #: Value of the field record_type, and of service_type in the catalogue.
    name: str
    #: What people call its events, in the plural.
    events: str
    #: Field with the number of the party that is charged.
    subscriber: str
    units: Units
    #: Field with the number of the called or receiving party, if there is one.
    other_party: str | None = None
    quantities: tuple[Quantity, ...] = ()
    #: Field that names the product. None: mediation makes the name from the type and the other party's place: VOICE_NAT.
    product_field: str | None = None
    #: Whether a bill has columns of its own for it, <name>_total and <name>_count. The amounts of any other are in its
    #: amount_before_tax. The bill's columns stay those of this project until bills have lines.
    on_bill: bool = False
    #: Share among generated records, of the sum of all types' shares; and of each product that `product_field` names there.
    share: float = 0.0
    product_shares: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise RecordTypeError(f"record type {self.name!r}: {problem}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its own, in the order of a record, behind COMMON_FIELDS."""
        parties = (self.subscriber, *([self.other_party] if self.other_party else []))
        product = [self.product_field] if self.product_field else []
        return (*parties, *(quantity.field for quantity in self.quantities), *product)

    @property
    def charged(self) -> Quantity | None:
        """The quantity that its units are counted of, None where each event is one."""
        return next((each for each in self.quantities if each.field == self.units.quantity), None)

    @property
    def most_units(self) -> int:
        """The most units that one event can have."""
        if self.charged is None:
            return 1
        return -(-self.charged.most // (self.units.started or 1))

    @property
    def made_products(self) -> tuple[str, ...]:
        """Products that mediation makes: national, international. None where the record names its product."""
        ends = () if self.product_field else (NATIONAL, INTERNATIONAL)
        return tuple(f"{self.name.upper()}_{end}" for end in ends)

    def _problems(self) -> Iterator[str]:
        charged = self.charged
        if not _NAME.fullmatch(self.name):
            yield "its name is none; expected small letters, digits and _, a letter first"
        for name in self.fields:
            if not _FIELD.fullmatch(name):
                yield f"{name!r} is no name of a field; expected letters, digits and _, a letter first"
        if len({*COMMON_FIELDS, *self.fields}) < len(COMMON_FIELDS) + len(self.fields):
            yield "a field stands twice among its own and those of every record; expected different ones"
        if (self.other_party is None) == (self.product_field is None):
            yield "expected either other_party, by which its product is made, or product_field, which names it"
        if self.units.quantity is not None and charged is None:
            yield f"units are counted of {self.units.quantity!r}; expected the field of one of its quantities"
        if charged and not (charged.judged and (charged.required or charged.imputed)):
            yield f"{charged.field} is charged; expected it judged, and required or imputed, so that every event has units"
        if [each for each in self.quantities if each.imputed and (each != charged or self.units.started)]:
            yield "a quantity is imputed; expected that of the one that is charged, as it is and not by what has begun"
