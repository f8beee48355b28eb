# kafka.sh: sourced by test/run: Apache Kafka.
#
# Maven gets it by name into tmp_kafka/ of the project, once; it is used from
# there, or from a copy where the servers' user can't read it.

# need_kafka: sets OUTFLOW_KAFKA, the directory of the jars
need_kafka() {
	local home=$project/tmp_kafka source=$project/test/interop/kafka

	[ -z "${OUTFLOW_KAFKA:-}" ] || return 0
	"$project/test/deps" default-jdk-headless:javac maven:mvn kcat
	if [ ! -e "$home/complete" ] ||
		[ -n "$(find "$source" -newer "$home/complete")" ]; then
		echo "getting Kafka"
		rm -rf "$home"
		mvn --quiet --batch-mode --file "$source/pom.xml" \
			dependency:copy-dependencies -DoutputDirectory="$home/lib" -DincludeScope=runtime
		touch "$home/complete"
	fi
	if ! as_user test -r "$home/lib"; then
		cp -a "$home" "$work/kafka"
		home=$work/kafka
	fi
	export OUTFLOW_KAFKA=$home/lib
}
