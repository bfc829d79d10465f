"""Customers: who has which number, plan and region.

Belongs here: the made-up customer base. Does not belong here: what customers do (`cdrs`), the customers table.
"""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from telecom_assets.generator.numbers import unique_moroccan_numbers
from telecom_assets.generator.spec import check_customers, random_stream
from telecom_assets.reference.tables import CUSTOMER_LIST

PLANS = {"PLAN_A": 45, "PLAN_B": 35, "PLAN_C": 20}
PREPAID_SHARE = 0.10
INACTIVE_SHARE = 0.03
BUSINESS_SHARE = 0.06
#: Region and its share of the population, per thousand.
REGIONS = {
    "Casablanca-Settat": 203,
    "Rabat-Salé-Kénitra": 136,
    "Marrakech-Safi": 134,
    "Fès-Meknès": 125,
    "Tanger-Tétouan-Al Hoceima": 105,
    "Souss-Massa": 79,
    "Béni Mellal-Khénifra": 74,
    "L'Oriental": 68,
    "Drâa-Tafilalet": 48,
    "Guelmim-Oued Noun": 13,
    "Laâyoune-Sakia El Hamra": 11,
    "Dakhla-Oued Ed Dahab": 4,
}
# Everyone subscribed before the months that are usually asked for.
_FIRST_ACTIVATION = dt.date(2010, 1, 1)
_ACTIVATION_DAYS = 3652

_GIVEN_NAMES = (
    "Aïcha", "Amina", "Anas", "Ayoub", "Bouchra", "Brahim", "Driss", "Fatima", "Hamza", "Hanane", "Hassan", "Hicham",
    "Houda", "Imane", "Ismaïl", "Jamal", "Karim", "Khadija", "Laïla", "Malika", "Mehdi", "Meryem", "Mohamed",
    "Mustapha", "Nabil", "Nadia", "Najat", "Omar", "Othmane", "Rachid", "Rim", "Saïd", "Salma", "Samira", "Siham",
    "Soukaïna", "Tarik", "Yassine", "Youssef", "Zineb",
)  # fmt: skip
_FAMILY_NAMES = (
    "Aït Lahcen", "Alaoui", "Amrani", "Bahi", "Belkacem", "Benali", "Benjelloun", "Bennani", "Berrada", "Bouazza",
    "Cherkaoui", "Chraïbi", "Daoudi", "El Amrani", "El Fassi", "El Idrissi", "El Mansouri", "Fikri", "Ghali", "Haddad",
    "Hajji", "Idrissi", "Jabri", "Kabbaj", "Khattabi", "Lahlou", "Lamrani", "Mernissi", "Naciri", "Ouali", "Ouazzani",
    "Rami", "Saadi", "Sebti", "Slaoui", "Tahiri", "Tazi", "Touzani", "Zahraoui", "Ziani",
)  # fmt: skip
# Names of firms carry what XML and CSV must escape.
_BUSINESS_FORMS = (" & Fils", ", Transport SARL", ' "Atlas" SARL', " Négoce & Cie")


def generate_customers(customers: int, seed: int) -> pa.Table:
    """That many customers in the columns of the `customers` contract, one row each, ordered by customer_id.

    The same (customers, seed) gives the same table. Raises SpecError.
    """
    check_customers(customers, seed)
    rng = random_stream(seed, "customers", customers)
    ids = unique_moroccan_numbers(rng, customers)
    columns = {
        "customer_id": pa.array(ids).cast(pa.string()),
        "customer_name": _names(rng, customers),
        "subscription_type": _draw(rng, customers, {"postpaid": 1 - PREPAID_SHARE, "prepaid": PREPAID_SHARE}),
        "rate_plan_id": _draw(rng, customers, PLANS),
        "activation_date": _activation_dates(rng, customers),
        "status": _draw(rng, customers, {"active": 1 - INACTIVE_SHARE, "inactive": INACTIVE_SHARE}),
        "region": _draw(rng, customers, REGIONS),
    }
    return pa.table(columns, schema=CUSTOMER_LIST.arrow_schema())


def _draw(rng: np.random.Generator, size: int, weights: dict[str, int] | dict[str, float]) -> pa.Array:
    shares = np.array(list(weights.values()), dtype=np.float64)
    return pa.array(list(weights)).take(pa.array(rng.choice(shares.size, size=size, p=shares / shares.sum())))


def _names(rng: np.random.Generator, size: int) -> pa.Array:
    given = pa.array([f"{name} " for name in _GIVEN_NAMES]).take(_indices(rng, len(_GIVEN_NAMES), size))
    family = pa.array(_FAMILY_NAMES).take(_indices(rng, len(_FAMILY_NAMES), size))
    form = pa.array(_BUSINESS_FORMS).take(_indices(rng, len(_BUSINESS_FORMS), size))
    business = pa.array(rng.random(size) < BUSINESS_SHARE)
    return pc.binary_join_element_wise(pc.if_else(business, "", given), family, pc.if_else(business, form, ""), "")


def _activation_dates(rng: np.random.Generator, size: int) -> pa.Array:
    first = (_FIRST_ACTIVATION - dt.date(1970, 1, 1)).days
    return pa.array(rng.integers(first, first + _ACTIVATION_DAYS, size=size).astype(np.int32)).cast(pa.date32())


def _indices(rng: np.random.Generator, high: int, size: int) -> pa.Array:
    return pa.array(rng.integers(0, high, size=size))
