"""Lines of bills on a machine with one core, where the embedded engine plans otherwise than on several.

Belongs here: a process whose engine has one core. What lines and their documents are is in `test_lines` and `closing`.
"""

import json
import os
import subprocess
import sys

import pytest

#: The documents of a customer with usage in June and a correction of May, by the rule: each has its own lines from 1 on.
EXPECTED = [["2026-05", "adjustment", 1], ["bill", "usage", 1]]

_LINES = """
import json
from resources.engine import SparkEngine
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.placing import placed
from telecom_assets.billing.tables import bill_lines
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets_tests.billing.test_lines import PERIOD, charge, line
from telecom_assets_tests.stages.chain import TERMS, contract_frame

engine = SparkEngine(kind="sail")
own = usage_lines(contract_frame(engine, RATED_CDRS, [charge("c", "voice", "2")]), PERIOD, TERMS)
corrects, history = (
    contract_frame(engine, bill_lines(2), [line("1", kind="adjustment", original_period="2026-05", document=None)]),
    contract_frame(engine, bill_lines(2), []),
)
lines = placed(own, engine.keep(corrects), history, contract_frame(engine, CUSTOMERS, []), PERIOD, 2, "separate")
rows = lines.select("document", "kind", "line_no").toArrow().to_pylist()
print(json.dumps(sorted(list(row.values()) for row in rows)))
"""


@pytest.mark.processes
def test_corrections_have_documents_of_their_own() -> None:
    """Sail 0.7.2 planned no order of lines whose document is another column of theirs, where it had one core."""
    one_core = {**os.environ, "SAIL_EXECUTION__DEFAULT_PARALLELISM": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _LINES], env=one_core, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == EXPECTED
