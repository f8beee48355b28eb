"""lake_spark.py TABLE: what Spark says to the statements of standard input, each on a line of
its own, of an Iceberg table that they call TABLE_NAME: a JSON array a row, and a line of two dashes after each.
check_iceberg.py has its session from here."""
import json
import os
import sys

SPARK = []


def session(table, catalog):
    """catalog: of LAKE_CATALOG, or nothing"""
    from pyspark.sql import SparkSession
    if not SPARK:
        jars = os.environ['OUTFLOW_SPARK_JARS']
        SPARK.append(SparkSession.builder.master('local[2]')
                     .config('spark.jars', ','.join(f'{jars}/{jar}' for jar in os.listdir(jars) if 'iceberg' in jar))
                     .config('spark.sql.extensions', 'org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions')
                     .config('spark.sql.catalog.lake', 'org.apache.iceberg.spark.SparkCatalog')
                     .config('spark.sql.catalog.lake.type', 'rest' if catalog else 'hadoop')
                     .config('spark.sql.catalog.lake.uri', catalog[0] if catalog else '')
                     .config('spark.sql.catalog.lake.warehouse', os.path.dirname(os.path.dirname(table)))
                     .config('spark.sql.session.timeZone', 'UTC').config('spark.ui.enabled', 'false')
                     .config('spark.driver.host', '127.0.0.1').config('spark.driver.bindAddress', '127.0.0.1')
                     .getOrCreate())
        SPARK[0].sparkContext.setLogLevel('ERROR')
    return SPARK[0]


def name_of(table, catalog):
    return 'lake.`' + '`.`'.join(catalog[1:] or table.split('/')[-2:]) + '`'


def main(table):
    from lake_rows import canonical
    catalog = os.environ.get('LAKE_CATALOG', '').split()
    for statement in sys.stdin.read().splitlines():
        for row in session(table, catalog).sql(statement.replace('TABLE_NAME', name_of(table, catalog))).collect():
            print(json.dumps(canonical(list(row))))
        print('--')


if __name__ == '__main__':
    main(sys.argv[1])
