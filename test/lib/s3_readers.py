"""s3_readers.py READER PREFIX: what a reader that isn't ours finds in the Parquet
files below the prefix, in the store that the environment names as for
s3_client.py: "rows sum-of-id texts-hash", and the files that it has listed.

READER is pyarrow or duckdb.
"""
import glob
import hashlib
import os
import sys

reader, prefix = sys.argv[1:]
scheme, address = os.environ["S3_ENDPOINT"].split("://")
bucket = os.environ["S3_BUCKET"]


def by_pyarrow():
    import pyarrow.dataset
    from pyarrow import fs

    store = fs.S3FileSystem(
        access_key=os.environ["S3_KEY"], secret_key=os.environ["S3_SECRET"],
        region="us-east-1", scheme=scheme, endpoint_override=address)
    found = store.get_file_info(fs.FileSelector(f"{bucket}/{prefix}", recursive=True))
    files = [info.path for info in found if info.path.endswith(".parquet")]
    table = pyarrow.dataset.dataset(files, filesystem=store).to_table()
    return table.column("id").to_pylist(), table.column("note").to_pylist(), files


def by_duckdb():
    import duckdb
    import duckdb_extension_httpfs

    where = os.path.dirname(duckdb_extension_httpfs.__file__)
    extension, = glob.glob(f"{where}/extensions/*/httpfs.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{os.environ['S3_KEY']}', SECRET '{os.environ['S3_SECRET']}',"
        f" ENDPOINT '{address}', URL_STYLE 'path', USE_SSL {scheme == 'https'}, REGION 'us-east-1')")
    pattern = f"s3://{bucket}/{prefix}/*.parquet"
    rows = connection.execute(f"SELECT id, note FROM read_parquet('{pattern}')").fetchall()
    files = connection.execute(f"SELECT file FROM glob('{pattern}')").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows], files


ids, notes, files = {"pyarrow": by_pyarrow, "duckdb": by_duckdb}[reader]()
texts = hashlib.md5("".join(sorted(notes)).encode()).hexdigest()
print(len(ids), sum(ids), texts, len(files))
