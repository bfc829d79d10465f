"""The names of the files of a document.

Belongs here: a name for each document and format, safe whatever an identifier holds. Does not belong here: what is in the files.
"""

import hashlib

from telecom_assets.billing.tables import BILL
from telecom_assets.home.setting_values import InvoiceFormat
from telecom_assets.invoices.document import InvoiceError, later_holder

_NAME_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST_NAME = 180
#: How the name of a file ends. No document's own name ends in `.ubl`: a point in an identifier is written %2E.
ENDINGS: dict[InvoiceFormat, str] = {"xml": ".xml", "ubl": ".ubl.xml", "pdf": ".pdf"}


def invoice_file_name(customer_id: str, holder_no: int = 1, document: str = BILL, form: InvoiceFormat = "xml") -> str:
    """The file of a holder's invoice: `<customer_id>.xml`, safe whatever the identifier holds; `<customer_id>~2.xml` of the second.

    As UBL it is `<customer_id>.ubl.xml`, as PDF `<customer_id>.pdf`.
    A separate document has its name behind a point: `<customer_id>.2026-10.xml` corrects 2026-10.
    Letters, digits, `_` and `-` stand for themselves; every other byte of its UTF-8 form is written `%XX` (so no name
    leaves the directory or is hidden), and a name that would be too long for a file system ends in `%~` and a hash.
    Different identifiers have different names. Raises InvoiceError for an empty one.
    """
    if not customer_id:
        raise InvoiceError("a bill without a customer_id")
    raw = customer_id.encode()
    name = "".join(chr(byte) if byte in _NAME_BYTES else f"%{byte:02X}" for byte in raw)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}%~{hashlib.sha256(raw).hexdigest()}"
    return f"{name}{later_holder(holder_no, '~')}{f'.{document}' if document != BILL else ''}{ENDINGS[form]}"


def format_of(name: str) -> InvoiceFormat | None:
    """The format of a file by its name; None: it is no document."""
    found = [form for form, ending in ENDINGS.items() if name.endswith(ending)]
    return found[-1] if found else None
