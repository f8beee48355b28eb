# flink.sh: sourced by test/run: Apache Flink, and the program of
# test/interop/flink that runs it.
#
# Maven gets both by name into tmp_flink/ of the project, once; they are used
# from there, or from a copy where the servers' user can't read it.

# need_flink: sets OUTFLOW_FLINK, the directory of the jars
need_flink() {
	local home=$project/tmp_flink source=$project/test/interop/flink

	[ -z "${OUTFLOW_FLINK:-}" ] || return 0
	"$project/test/deps" default-jdk-headless:javac maven:mvn
	if [ ! -e "$home/complete" ] ||
		[ -n "$(find "$source" -newer "$home/complete")" ]; then
		echo "building the program that runs Flink"
		rm -rf "$home"
		mvn --quiet --batch-mode --file "$source/pom.xml" package
		touch "$home/complete"
	fi
	if ! as_user test -r "$home/lib"; then
		cp -a "$home" "$work/flink"
		home=$work/flink
	fi
	export OUTFLOW_FLINK=$home/lib
}
