# python.sh: sourced by test/run: the Python packages that tests compare with.
#
# They are installed by name into a directory of the project, once, and are
# used from there, or from a copy where the servers' user can't read it.

# install_python DIRECTORY MODULES PACKAGE...: sets installed_python
install_python() {
	local home=$project/$1 modules=$2

	shift 2
	if ! "$home/bin/python" -c "import $modules" 2>/dev/null; then
		echo "installing $*"
		rm -rf "$home"
		/usr/bin/python3 -m venv "$home"
		"$home/bin/pip" install --quiet --disable-pip-version-check "$@"
	fi
	if ! as_user "$home/bin/python" -c "import $modules" 2>/dev/null; then
		cp -a "$home" "$work/$(basename "$home")"
		home=$work/$(basename "$home")
	fi
	installed_python=$home/bin/python
}

# need_python: sets OUTFLOW_PYTHON
need_python() {
	[ -z "${OUTFLOW_PYTHON:-}" ] || return 0
	install_python tmp_python "duckdb, pyarrow.parquet, pandas, polars, datafusion, psycopg2, websockets, fastavro" \
		duckdb pyarrow pandas polars datafusion psycopg2-binary websockets fastavro
	export OUTFLOW_PYTHON=$installed_python
}

# need_readers: sets OUTFLOW_READERS, a Python with the large ones: Apache Spark,
# which needs a JDK, and ClickHouse
need_readers() {
	[ -z "${OUTFLOW_READERS:-}" ] || return 0
	"$project/test/deps" default-jre-headless:java
	install_python tmp_readers "pyspark, chdb, pyarrow.parquet" \
		pyspark chdb pyarrow pandas
	export OUTFLOW_READERS=$installed_python
}

# need_lake: sets OUTFLOW_LAKE, a Python with readers of lakes; DuckDB is of
# the version that its extensions are packaged for
need_lake() {
	[ -z "${OUTFLOW_LAKE:-}" ] || return 0
	install_python tmp_lake "deltalake, polars, duckdb_extension_delta, duckdb_extension_iceberg, duckdb_extension_httpfs, pyiceberg, pyarrow.parquet" \
		deltalake polars pyarrow duckdb==1.5.5 duckdb-extension-delta==1.5.5 \
		duckdb-extension-avro==1.5.5 duckdb-extension-iceberg==1.5.5 \
		duckdb-extension-httpfs==1.5.5 'pyiceberg[pyarrow]'
	export OUTFLOW_LAKE=$installed_python
}

# need_lake_clickhouse: sets OUTFLOW_LAKE_CLICKHOUSE, a Python with ClickHouse
need_lake_clickhouse() {
	[ -z "${OUTFLOW_LAKE_CLICKHOUSE:-}" ] || return 0
	install_python tmp_chdb "chdb, pyarrow" chdb pyarrow pandas
	export OUTFLOW_LAKE_CLICKHOUSE=$installed_python
}

# need_lake_spark: sets OUTFLOW_LAKE_SPARK, a Python with the Spark that the
# jars of Delta and Iceberg are made for, and OUTFLOW_SPARK_JARS, where those are
need_lake_spark() {
	local jars=$project/tmp_lake_jars

	[ -z "${OUTFLOW_LAKE_SPARK:-}" ] || return 0
	"$project/test/deps" default-jdk-headless:javac maven:mvn
	install_python tmp_lake_spark "pyspark, pyarrow" pyspark==4.0.1 pyarrow pandas
	if [ ! -e "$jars/complete" ] || [ "$project/test/interop/lake/pom.xml" -nt "$jars/complete" ]; then
		rm -rf "$jars"
		mvn --quiet --batch-mode --file "$project/test/interop/lake/pom.xml" \
			dependency:copy-dependencies -DoutputDirectory="$jars/lib" -DincludeScope=runtime
		touch "$jars/complete"
	fi
	if ! as_user test -r "$jars/lib"; then
		cp -a "$jars" "$work/lake_jars"
		jars=$work/lake_jars
	fi
	export OUTFLOW_LAKE_SPARK=$installed_python OUTFLOW_SPARK_JARS=$jars/lib
}

# need_kinesis: sets OUTFLOW_KINESIS, a Python with moto, which verifies signatures,
# and boto3, which reads streams
need_kinesis() {
	[ -z "${OUTFLOW_KINESIS:-}" ] || return 0
	install_python tmp_kinesis "boto3, moto" boto3 'moto[server,kinesis]==5.2.5'
	export OUTFLOW_KINESIS=$installed_python
}

# need_autobahn: sets OUTFLOW_AUTOBAHN, a Python with the cases of the Autobahn test
# suite and a program that runs them
need_autobahn() {
	[ -z "${OUTFLOW_AUTOBAHN:-}" ] || return 0
	install_python tmp_autobahn kosoku kosoku==0.1.0
	export OUTFLOW_AUTOBAHN=$installed_python
}

# need_milvus: sets OUTFLOW_MILVUS, the directory of milvus-lite's programs, with a
# Python that has its client
need_milvus() {
	[ -z "${OUTFLOW_MILVUS:-}" ] || return 0
	install_python tmp_milvus "pymilvus, milvus_lite" \
		milvus-lite==3.2.2 pymilvus==3.0.2
	export OUTFLOW_MILVUS=${installed_python%/python}
}

# need_milvus_server: sets OUTFLOW_MILVUS_SERVER, a Python with a whole Milvus, of Go
# and C++, beside it
need_milvus_server() {
	[ -z "${OUTFLOW_MILVUS_SERVER:-}" ] || return 0
	install_python tmp_milvus_server "pymilvus.bulk_writer, milvus, pyarrow.parquet" \
		milvus==2.3.5 'pymilvus[bulk-writer]==3.0.2' pyarrow
	export OUTFLOW_MILVUS_SERVER=$installed_python
}
