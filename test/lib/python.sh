# python.sh: sourced by test/run: the Python packages that tests compare with.
#
# They are installed by name into tmp_python/ of the project, once, and are
# used from there, or from a copy where the servers' user can't read it.

python_packages="duckdb pyarrow"
python_modules="duckdb, pyarrow.parquet"

# python_ready DIR
python_ready() { "$1/bin/python" -c "import $python_modules" 2>/dev/null; }

# need_python: sets OUTFLOW_PYTHON
need_python() {
	local home=$project/tmp_python

	[ -z "${OUTFLOW_PYTHON:-}" ] || return 0
	if ! python_ready "$home"; then
		echo "installing $python_packages"
		rm -rf "$home"
		/usr/bin/python3 -m venv "$home"
		# shellcheck disable=SC2086
		"$home/bin/pip" install --quiet --disable-pip-version-check \
			$python_packages
	fi
	if ! as_user "$home/bin/python" -c "import $python_modules" 2>/dev/null
	then
		cp -a "$home" "$work/python"
		home=$work/python
	fi
	export OUTFLOW_PYTHON=$home/bin/python
}
