# stream_server.sh: the server in which stream benches compare plugins; sourced
# after env.sh.

sql() { psql -XqAt -v ON_ERROR_STOP=1 "$@"; }

# start_stream_server NAME: makes the work directory, builds the plugin that
# writes nothing, starts a server that knows it and its peers
start_stream_server() {
	make_work_dir "$1"
	# before the copy of the server, which has no headers, is the one in PATH
	cp -R "$project/test/modules/null_plugin" "$work/plugin"
	make -s -C "$work/plugin" clean all >/dev/null
	private_server
	start_cluster "$work/server"

	sql -c "ALTER SYSTEM SET shared_buffers = '512MB'" \
		-c "ALTER SYSTEM SET max_wal_size = '32GB'" \
		-c "ALTER SYSTEM SET autovacuum = off" \
		-c "ALTER SYSTEM SET dynamic_library_path = '\$libdir:$work/plugin'"
	if server_conf | grep -q output_plugin_libraries; then
		sql -c "ALTER SYSTEM SET output_plugin_libraries = 'null_plugin', 'pgoutput', 'test_decoding', 'wal2json', 'decoderbufs', 'outflow'"
	fi
	stop_cluster "$work/server"
	as_user pg_ctl start --silent --wait --pgdata="$work/server/data" \
		--log="$work/server/server.log"
}
