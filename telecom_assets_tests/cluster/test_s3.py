"""Tables in a bucket: commits that overwrite no other, maintenance, old versions, and errors that name the thing."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from deltalake import DeltaTable

from resources.engine import SparkEngine
from resources.s3 import S3Error
from resources.warehouse import Commit, Maintained, Partitions, Warehouse, WarehouseError, maintain, put, read_rows
from resources.warehouse.conditions import equal
from telecom_assets_tests.resources.warehouse.tables import FLOORS, JUNE, MAY, floors, floors_table, rows_in
from telecom_assets_tests.s3_server import S3Server, s3_server
from telecom_assets_tests.sample_tables import TABLES

SECRET = "a-secret-that-nobody-sees"  # noqa: S105


@pytest.fixture(params=["sail_on_s3", "cluster_on_s3"])
def on_s3(request: pytest.FixtureRequest) -> Warehouse:
    """A warehouse in a bucket, on each engine in turn."""
    warehouse: Warehouse = request.getfixturevalue(request.param)
    return warehouse


def keep(warehouse: Warehouse, now: datetime | None = None) -> Maintained:
    (done,) = maintain(warehouse, target_file_bytes=100_000_000, now=now or datetime.now(UTC))
    return done


# ------------------------------------------------------------------------------------------------------------- commits


def test_a_commit_never_takes_the_place_of_another(on_s3: Warehouse, s3: S3Server) -> None:
    """The engine is about to put its commit when delta-rs, in another process as it were, puts one in its place."""
    on_s3.append(FLOORS, floors(on_s3, ("first", "1", MAY)))
    with ThreadPoolExecutor(1) as pool:
        with s3.holding(f"{FLOORS}/_delta_log/{2:020d}.json") as request:
            slow = pool.submit(on_s3.append, FLOORS, floors(on_s3, ("slow", "2", MAY)))
            request.wait()
            quick = on_s3.append_arrow(FLOORS, floors_table([("quick", "3", MAY)]))
        assert quick == Commit(2, {MAY: 1})
        assert slow.result() == Commit(3, {MAY: 1})
    rows = {("first", "1.000000", MAY), ("slow", "2.000000", MAY), ("quick", "3.000000", MAY)}
    assert rows_in(on_s3.pin(FLOORS).all()) == rows_in(on_s3.pin(FLOORS).arrow()) == rows


def test_an_overwrite_does_not_take_back_a_compaction(on_s3: Warehouse, s3: S3Server) -> None:
    """The other one is maintenance: the overwrite is committed behind it."""
    for number in range(2):
        on_s3.append_arrow(FLOORS, floors_table([(f"old{number}", "1", MAY), (f"kept{number}", "2", JUNE)]))
    with ThreadPoolExecutor(1) as pool:
        with s3.holding(f"{FLOORS}/_delta_log/{3:020d}.json") as request:
            slow = pool.submit(on_s3.overwrite, FLOORS, floors(on_s3, ("new", "3", MAY)), Partitions(MAY, MAY))
            request.wait()
            done = keep(on_s3)
        assert (done.version, done.files_compacted) == (4, 4)
        assert slow.result() == Commit(5, {MAY: 1})
    rows = {("new", "3.000000", MAY), ("kept0", "2.000000", JUNE), ("kept1", "2.000000", JUNE)}
    assert rows_in(on_s3.pin(FLOORS).all()) == rows_in(on_s3.pin(FLOORS).arrow()) == rows


def test_many_writers_at_once_lose_nothing(sail_on_s3: Warehouse, cluster_on_s3: Warehouse) -> None:
    """Both engines and delta-rs append to one table; each commit has a version of its own."""
    sail_on_s3.make_tables([FLOORS])

    def write(number: int) -> int:
        row = (f"row{number}", "1", MAY)
        if number % 3 == 0:
            return sail_on_s3.append_arrow(FLOORS, floors_table([row])).version
        warehouse = sail_on_s3 if number % 3 == 1 else cluster_on_s3
        return warehouse.append(FLOORS, floors(warehouse, row)).version

    with ThreadPoolExecutor(3) as pool:
        versions = list(pool.map(write, range(9)))
    assert sorted(versions) == list(range(1, 10))
    assert len(rows_in(sail_on_s3.pin(FLOORS).arrow())) == 9


# -------------------------------------------------------------------------------------------------------- damaged logs


def damaged(warehouse: Warehouse, path: str, content: bytes) -> Warehouse:
    """Put other content in the place of a file of the table; the warehouse as a process that begins now sees it."""
    put(warehouse.place.files(FLOORS), path, content)
    return Warehouse(warehouse.root, warehouse.engine, TABLES, s3=warehouse.s3)


def test_a_damaged_log_is_mended_or_named_as_in_a_folder(sail_on_s3: Warehouse) -> None:
    """`resources/test_log_repair` has the cases."""
    warehouse = sail_on_s3
    for number in range(4):
        warehouse.append_arrow(FLOORS, floors_table([(f"a{number}", "1", MAY)]))
    rows = rows_in(warehouse.pin(FLOORS).arrow())
    warehouse.log(FLOORS).checkpoint(2)
    files, checkpoint = warehouse.place.files(FLOORS), f"_delta_log/{2:020d}.checkpoint.parquet"
    with files.open_input_stream(checkpoint) as stored:
        half = stored.read()[:500]
    mended = damaged(warehouse, checkpoint, half)
    mended.make_tables([FLOORS])
    assert rows_in(mended.pin(FLOORS).all()) == rows_in(mended.pin(FLOORS).arrow()) == rows
    [kept] = [each.path for each in files.get_file_info(pafs.FileSelector("_delta_log")) if "_torn-" in each.path]
    with files.open_input_stream(kept) as stored:
        assert stored.read() == half
    mended = damaged(warehouse, "_delta_log/_last_checkpoint", b'{"version":77,"size":1}')
    mended.make_tables([FLOORS])
    assert rows_in(mended.pin(FLOORS).all()) == rows
    torn = damaged(warehouse, f"_delta_log/{4:020d}.json", b'{"commitInfo":{')
    with pytest.raises(WarehouseError, match=rf"{4:020d}.json is torn \(15 bytes.*the last good version is 3"):
        torn.version(FLOORS)


# ------------------------------------------------------------------------------------------------------- tables there


def test_partitions_are_replaced_and_versions_stay(on_s3: Warehouse) -> None:
    on_s3.overwrite(FLOORS, floors(on_s3, ("a", "1", MAY), ("b", "2", JUNE)), Partitions(MAY, JUNE))
    first = on_s3.pin(FLOORS)
    assert on_s3.overwrite(FLOORS, floors(on_s3, ("c", "3", JUNE)), Partitions(JUNE, JUNE)).rows == {JUNE: 1}
    assert rows_in(on_s3.pin(FLOORS).all()) == {("a", "1.000000", MAY), ("c", "3.000000", JUNE)}
    assert rows_in(first.all()) == rows_in(first.arrow()) == {("a", "1.000000", MAY), ("b", "2.000000", JUNE)}
    found = read_rows(on_s3.pin(FLOORS, Partitions(JUNE, JUNE)), None) + read_rows(
        first, None, equal("customer_id", "b")
    )
    assert {(row["customer_id"], row["floor_mb"], row["billing_period"]) for row in found} == {
        ("c", Decimal("3.000000"), JUNE),
        ("b", Decimal("2.000000"), JUNE),
    }
    assert first.rows_by_partition() == {MAY: 1, JUNE: 1}


def test_maintenance_merges_files_and_removes_what_is_past_its_time(sail_on_s3: Warehouse) -> None:
    """As in a folder (`resources/test_maintenance`): a checkpoint copied back, the log and files removed before it."""
    warehouse = sail_on_s3
    for number in range(3):
        warehouse.append_arrow(FLOORS, floors_table([(f"a{number}", "1", MAY)]))
    rows = rows_in(warehouse.pin(FLOORS).arrow())
    pinned = warehouse.pin(FLOORS)
    done = keep(warehouse)
    assert (done.files_before, done.files_compacted, done.files_after, done.version) == (3, 3, 1, 4)
    assert rows_in(pinned.arrow()) == rows_in(pinned.all()) == rows
    # When the retention has passed, the newest version is all there is: five entries of the log and four files go.
    warehouse.overwrite(FLOORS, floors(warehouse, ("b", "2", MAY)), Partitions(MAY, MAY))
    later = keep(warehouse, datetime.now(UTC) + timedelta(days=warehouse.retention_days + 1))
    assert (later.versions, later.version, later.note) == (1, 5, "")
    assert later.files_removed >= 9
    assert rows_in(warehouse.pin(FLOORS).arrow()) == rows_in(warehouse.pin(FLOORS).all()) == {("b", "2.000000", MAY)}
    with pytest.raises(WarehouseError, match=rf"table {FLOORS} at s3://.* at version 4.*vacuumed"):
        warehouse.pin(FLOORS, version=4).arrow()
    found = warehouse.place.files(FLOORS).get_file_info(pafs.FileSelector("", recursive=True))
    assert len([info for info in found if info.path.endswith(".parquet")]) == 2  # the rows and the checkpoint


def test_what_was_pinned_is_read_beside_a_newer_checkpoint(on_s3: Warehouse) -> None:
    on_s3.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    pinned = on_s3.pin(FLOORS)
    on_s3.append_arrow(FLOORS, floors_table([("b", "1", MAY)]))
    on_s3.log(FLOORS).checkpoint(on_s3.version(FLOORS))
    assert {row[0] for row in rows_in(on_s3.pin(FLOORS, version=pinned.version).all())} == {"a"}
    assert {row[0] for row in rows_in(on_s3.pin(FLOORS).all())} == {"a", "b"}


def test_one_root_has_one_name(s3: S3Server, bucket: str, sail: SparkEngine) -> None:
    written = Warehouse(f"s3a://{bucket}/warehouse/", sail, TABLES, s3=s3.storage)
    written.append(FLOORS, floors(written, ("a", "1", MAY)))
    assert written.root == f"s3://{bucket}/warehouse"
    table = DeltaTable(f"s3://{bucket}/warehouse/{FLOORS}", storage_options=s3.storage.delta_options())
    assert pa.table(table.get_add_actions()).num_rows == 1


# -------------------------------------------------------------------------------------------------------------- errors


def test_a_wrong_bucket_or_endpoint_is_named(s3: S3Server, bucket: str, sail: SparkEngine) -> None:
    storage = s3.storage
    nobody = replace(storage, endpoint="http://127.0.0.1:9")
    for wrong, root, said in [
        (
            storage,
            "s3://not-there/x",
            rf"'not-there' at {storage.endpoint}: there is no such bucket.*TELECOM_WAREHOUSE",
        ),
        (
            nobody,
            f"s3://{bucket}/x",
            rf"'{bucket}' at {nobody.endpoint}: the endpoint does not answer.*AWS_ENDPOINT_URL",
        ),
    ]:
        warehouse = Warehouse(root, sail, TABLES, s3=wrong)
        for use in (lambda w: w.version(FLOORS), lambda w: w.exists(FLOORS), keep):
            with pytest.raises(WarehouseError, match=rf"warehouse {root}: bucket {said}") as caught:
                use(warehouse)
            assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        ("InvalidAccessKeyId", 403, "correct AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, "correct AWS_SECRET_ACCESS_KEY"),
        ("AccessDenied", 403, "these credentials may not list it"),
        ("ExpiredToken", 400, "renew AWS_SESSION_TOKEN"),
        ("PermanentRedirect", 301, "set AWS_REGION"),
        ("Whatever", 400, "cannot be listed .*Whatever.*check AWS_ENDPOINT_URL"),
    ],
)
def test_what_the_server_refuses_is_told_with_what_to_do(s3: S3Server, code: str, status: int, remedy: str) -> None:
    storage = replace(s3.storage, secret_access_key=SECRET, session_token=SECRET)
    with s3.refusing(code, status), pytest.raises(S3Error) as caught:
        storage.check("s3://tables/warehouse")
    assert re.match(rf"bucket 'tables' at {storage.endpoint}: .*{remedy}", str(caught.value))
    assert SECRET not in f"{caught.value}{storage!r}"


def test_a_cluster_that_does_not_reach_the_bucket_is_told(cluster_engine: SparkEngine) -> None:
    """The driver asks one server, the cluster another one, which has no such bucket."""
    with s3_server() as other:
        elsewhere = other.new_bucket()
        warehouse = Warehouse(f"s3://{elsewhere}/warehouse", cluster_engine, TABLES, s3=other.storage)
        with pytest.raises(
            WarehouseError, match=rf"s3://{elsewhere}/warehouse: Apache Spark does not reach it .*docs/scaling"
        ):
            warehouse.append(FLOORS, floors(warehouse, ("a", "1", MAY)))
