"""open_files.py spark|clickhouse DIRECTORY: what a reader makes of an export.

Spark reads the directory as it is, ClickHouse all files of it by a pattern.

Prints one JSON object: "errors" by column, "counts" of values by column, "nan"
(rows whose column f8 is NaN), and of Spark what parquet-java says of created_by.
"""
import glob
import json
import sys

import pyarrow.parquet as pq


def part_files(directory):
    return sorted(glob.glob(f'{directory}/*.parquet'))


def spark(directory):
    from pyspark.sql import SparkSession
    session = (SparkSession.builder.master('local[1]')
               .config('spark.ui.enabled', 'false')
               .config('spark.driver.memory', '700m')
               .config('spark.sql.session.timeZone', 'UTC').getOrCreate())
    session.sparkContext.setLogLevel('OFF')
    created_by = pq.ParquetFile(part_files(directory)[0]).metadata.created_by
    parsed = session._jvm.org.apache.parquet.VersionParser.parse(created_by)

    def ask(column):
        name = f'`{column}`'
        return session.read.parquet(directory).selectExpr(
            f'count({name})', f'max(cast({name} AS string))').collect()[0][0]

    def nan():
        return session.read.parquet(directory).filter("f8 = double('NaN')").count()

    return ask, nan, {'writer': parsed.toString()}


def clickhouse(directory):
    import chdb
    where = f"file('{directory}/*.parquet', Parquet)"

    def ask(column):
        out = chdb.query(f'SELECT count(`{column}`), max(toString(`{column}`)) FROM {where}', 'JSONCompact')
        return int(json.loads(str(out))['data'][0][0])

    def nan():
        return int(str(chdb.query(f'SELECT count() FROM {where} WHERE isNaN(f8)', 'TSV')))

    return ask, nan, {}


def main(reader, directory):
    ask, nan, about = {'spark': spark, 'clickhouse': clickhouse}[reader](directory)
    errors, counts = {}, {}
    for column in pq.read_schema(part_files(directory)[0]).names:
        try:
            counts[column] = ask(column)
        except Exception as error:  # each reader has its own
            errors[column] = str(error)[:300]
    about |= {'errors': errors, 'counts': counts}
    try:
        about['nan'] = nan()
    except Exception as error:
        errors['f8 = NaN'] = str(error)[:300]
    print(json.dumps(about))


main(*sys.argv[1:])
