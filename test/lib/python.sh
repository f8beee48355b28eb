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
	install_python tmp_python "duckdb, pyarrow.parquet, pandas, polars, datafusion, psycopg2, websockets" \
		duckdb pyarrow pandas polars datafusion psycopg2-binary websockets
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

# need_kinesis: sets OUTFLOW_KINESIS, a Python with moto, which verifies signatures,
# and boto3, which reads streams
need_kinesis() {
	[ -z "${OUTFLOW_KINESIS:-}" ] || return 0
	install_python tmp_kinesis "boto3, moto" boto3 'moto[server,kinesis]==5.2.5'
	export OUTFLOW_KINESIS=$installed_python
}
