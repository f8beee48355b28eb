# nifi.sh: sourced by test/run: Apache NiFi's own reader of FlowFiles.
#
# Maven gets it by name into tmp_nifi/ of the project, once; it is used from
# there, or from a copy where the servers' user can't read it.

# need_nifi: sets OUTFLOW_NIFI, the directory of the jars
need_nifi() {
	local home=$project/tmp_nifi source=$project/test/interop/nifi

	[ -z "${OUTFLOW_NIFI:-}" ] || return 0
	"$project/test/deps" default-jdk-headless:javac maven:mvn
	if [ ! -e "$home/complete" ] ||
		[ -n "$(find "$source" -newer "$home/complete")" ]; then
		echo "getting NiFi's reader of FlowFiles"
		rm -rf "$home"
		mvn --quiet --batch-mode --file "$source/pom.xml" \
			dependency:copy-dependencies -DoutputDirectory="$home/lib" -DincludeScope=runtime
		javac -cp "$home/lib/*" -d "$home/lib" "$source/Unpack.java"
		touch "$home/complete"
	fi
	if ! as_user test -r "$home/lib"; then
		cp -a "$home" "$work/nifi"
		home=$work/nifi
	fi
	export OUTFLOW_NIFI=$home/lib
}
