# env.sh: sourced by everything that starts a throw-away server.
#
# Knows the server that PG_CONFIG names, the user that may own a cluster, and
# one work directory that goes away, with the servers in it, when the caller
# ends.  The caller has set -euo pipefail and stands anywhere.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

: "${PG_CONFIG:=pg_config}"
bindir=$("$PG_CONFIG" --bindir)
pgxs_src=$(cd "$(dirname "$("$PG_CONFIG" --pgxs)")/.." && pwd)

# a caller's PGHOST, PGSERVICE or locale is not for throw-away servers
for variable in ${!PG*}; do
	[[ $variable == PG_* ]] || unset "$variable"
done
unset LC_ALL LANGUAGE
export LANG=C PATH="$bindir:$PATH"

# PostgreSQL refuses to run as root: servers belong to an ordinary user
if [ "$(id -u)" = 0 ]; then
	test_user=${TEST_USER:-postgres}
	id "$test_user" >/dev/null 2>&1 || test_user=nobody
	as_user() {
		setpriv --reuid="$test_user" --regid="$(id -g "$test_user")" \
			--init-groups -- env HOME="$work" "$@"
	}
else
	test_user=$(id -un)
	as_user() { "$@"; }
fi

# make_work_dir NAME: sets $work; KEEP=1 leaves it there
make_work_dir() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/outflow-$1.XXXXXX")
	chmod 755 "$work"
	chown "$test_user" "$work"
	trap 'clean_work_dir' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	cd "$work"
	as_user test -w "$work" || {
		echo "user $test_user cannot write to $work: set TMPDIR" >&2
		exit 1
	}
}

clean_work_dir() {
	local status=$? pid_file

	cd /
	while read -r pid_file; do
		as_user pg_ctl stop --silent --mode=immediate \
			--pgdata="$(dirname "$pid_file")" >/dev/null 2>&1 || true
	done < <(find "$work" -name postmaster.pid 2>/dev/null)
	if [ "${KEEP:-0}" = 1 ]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
	return $status
}

# private_server: a copy of the server that PG_CONFIG names, in $work, with the
# outflow that stands in the build directory BUILD.  The tests neither need nor
# touch what is installed.  A server finds its files by where its program is, so
# programs are copied and the rest are links.
private_server() {
	local root=$work/postgresql prefix directory entry
	local pkglibdir sharedir headers

	pkglibdir=$("$PG_CONFIG" --pkglibdir)
	sharedir=$("$PG_CONFIG" --sharedir)
	headers=$("$PG_CONFIG" --includedir-server)
	prefix=$bindir
	for directory in "$pkglibdir" "$sharedir" "$headers"; do
		while [[ $directory/ != "$prefix"/* ]]; do
			prefix=${prefix%/*}
		done
	done
	place() { echo "$root${1#"$prefix"}"; }

	mkdir -p "$(place "$bindir")"
	cp -L "$bindir"/* "$(place "$bindir")"
	for directory in "$pkglibdir" "$sharedir" "$sharedir/extension"; do
		mkdir -p "$(place "$directory")"
		for entry in "$directory"/*; do
			case $entry in
				"$sharedir/extension" | */outflow* | */bitcode) ;;
				*) ln -s "$entry" "$(place "$directory")" ;;
			esac
		done
	done
	mkdir -p "$(dirname "$(place "$headers")")"
	ln -s "$headers" "$(place "$headers")"
	bindir=$(place "$bindir")
	PATH=$bindir:$PATH
	make --no-print-directory -s -C "${BUILD:-$project}" install \
		PG_CONFIG="$bindir/pg_config" >/dev/null
}

# server_conf: the settings that every throw-away server of ours starts with.
# output_plugin_libraries stops a server that doesn't know it and is needed by
# one that does, so look first.
server_conf() {
	cat <<-END
		listen_addresses = ''
		wal_level = logical
		max_replication_slots = 30
		max_wal_senders = 20
		max_worker_processes = 16
		max_prepared_transactions = 10
		fsync = off
		log_min_messages = warning
		log_line_prefix = '%m [%p] %q%a '
	END
	if "$bindir/postgres" --describe-config |
		grep '^output_plugin_libraries' >/dev/null
	then
		echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json, decoderbufs, outflow, outflow_wal2json${WAL2JSON:+, $WAL2JSON}'"
	fi
}

# start_cluster DIR: a new cluster on a Unix socket in DIR only; the
# environment then points at it.
start_cluster() {
	as_user mkdir "$1"
	as_user initdb --pgdata="$1/data" --username=postgres --auth=trust \
		--encoding=UTF8 --no-locale --no-sync >"$1/initdb.log" 2>&1 || {
		cat "$1/initdb.log" >&2
		return 1
	}
	{
		server_conf
		echo "unix_socket_directories = '$1'"
	} >>"$1/data/postgresql.conf"
	as_user pg_ctl start --silent --wait --pgdata="$1/data" \
		--log="$1/server.log" || {
		cat "$1/server.log" >&2
		return 1
	}
	export PGHOST=$1 PGUSER=postgres PGDATABASE=postgres
}

stop_cluster() {
	as_user pg_ctl stop --silent --wait --mode=fast --pgdata="$1/data"
}
