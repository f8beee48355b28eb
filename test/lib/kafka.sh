# kafka.sh: sourced by test/run: Apache Kafka.
#
# Maven gets it by name into tmp_kafka/ of the project, once; it is used from
# there, or from a copy where the servers' user can't read it.

# need_kafka: sets OUTFLOW_KAFKA, the directory of the jars, and OUTFLOW_RDKAFKA, one
# with a librdkafka newer than Debian's, of PyPI's confluent-kafka
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
	install_python tmp_kafka_python confluent_kafka confluent-kafka==2.16.1
	as_user mkdir -p "$work/rdkafka"
	cp "${installed_python%/bin/*}"/lib/python*/site-packages/confluent_kafka.libs/librdkafka-*.so.1 \
		"$work/rdkafka/librdkafka.so.1"
	export OUTFLOW_RDKAFKA=$work/rdkafka
}
