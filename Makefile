# outflow: one PGXS file builds, installs, tests and shows everything.
# "make help" lists the targets; PG_CONFIG= selects the server.

# the sources; builds may stand elsewhere: make -f ../outflow/Makefile
home := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

EXTENSION = control/outflow
DATA = $(patsubst $(home)/%,%,$(wildcard $(home)/control/outflow--*.sql))
MODULE_big = outflow

# sorted by the way of a row: what it is, how it is encoded, where it goes
OBJS = \
	src/outflow.o \
	src/preflight.o \
	src/option.o \
	src/name_pattern.o \
	src/limit.o \
	src/session_lock.o \
	src/subtransaction.o \
	src/encoding.o \
	src/compression.o \
	src/failpoint.o \
	src/row/descriptor.o \
	src/row/type_name.o \
	src/row/type.o \
	src/row/shape.o \
	src/row/invalidate.o \
	src/row/settings.o \
	src/row/mask_rule.o \
	src/row/mask_setting.o \
	src/row/mask_shape.o \
	src/position/xid.o \
	src/position/snapshot_text.o \
	src/encode/value/buffer.o \
	src/encode/value/buffer_limit.o \
	src/encode/value/buffer_write.o \
	src/encode/value/text.o \
	src/encode/value/numeric.o \
	src/encode/value/datetime.o \
	src/encode/value/output.o \
	src/encode/value/growth.o \
	src/encode/value/stack_guard.o \
	src/encode/value/default.o \
	src/encode/value/json.o \
	src/encode/value/json_document.o \
	src/encode/value/json_string.o \
	src/encode/value/jsonb.o \
	src/encode/value/json_part.o \
	src/encode/value/kind_form.o \
	src/encode/value/text_value.o \
	src/encode/value/mask_value.o \
	src/encode/format.o \
	src/encode/format_check.o \
	src/encode/row_counter.o \
	src/encode/copy/csv.o \
	src/encode/copy/copy_text.o \
	src/encode/copy/copy_binary.o \
	src/encode/json/jsonl.o \
	src/encode/parquet/parquet.o \
	src/encode/parquet/parquet_option.o \
	src/encode/parquet/parquet_form.o \
	src/encode/parquet/parquet_milvus.o \
	src/encode/parquet/parquet_node.o \
	src/encode/parquet/parquet_primitive.o \
	src/encode/parquet/parquet_schema.o \
	src/encode/parquet/parquet_lossy.o \
	src/encode/parquet/parquet_value.o \
	src/encode/parquet/parquet_number.o \
	src/encode/parquet/parquet_decimal.o \
	src/encode/parquet/parquet_column.o \
	src/encode/parquet/parquet_counter.o \
	src/encode/parquet/parquet_dictionary.o \
	src/encode/parquet/parquet_bound.o \
	src/encode/parquet/parquet_byte_bound.o \
	src/encode/parquet/parquet_sorted.o \
	src/encode/parquet/parquet_page.o \
	src/encode/parquet/parquet_codec.o \
	src/encode/parquet/parquet_index.o \
	src/encode/parquet/parquet_footer.o \
	src/encode/parquet/parquet_read.o \
	src/encode/parquet/parquet_thrift.o \
	src/encode/parquet/parquet_rle.o \
	src/encode/parquet/parquet_bytes.o \
	src/encode/lake/lake_file.o \
	src/encode/lake/lake_text.o \
	src/encode/delta/delta.o \
	src/encode/delta/delta_schema.o \
	src/encode/delta/delta_statistics.o \
	src/encode/delta/delta_checkpoint.o \
	src/encode/iceberg/avro.o \
	src/encode/iceberg/avro_read.o \
	src/encode/iceberg/iceberg.o \
	src/encode/iceberg/iceberg_schema.o \
	src/encode/iceberg/iceberg_statistics.o \
	src/encode/iceberg/iceberg_key.o \
	src/encode/json/change_json.o \
	src/encode/json/change_json_schema.o \
	src/encode/json/change_json_transaction.o \
	src/encode/wal2json/wal2json_shape.o \
	src/encode/wal2json/wal2json_value.o \
	src/encode/wal2json/wal2json_v1_shape.o \
	src/encode/wal2json/change_wal2json_v1.o \
	src/encode/wal2json/change_wal2json_v2.o \
	src/encode/debezium/debezium_source.o \
	src/encode/debezium/change_debezium.o \
	src/stream/plugin.o \
	src/stream/options.o \
	src/stream/options_value.o \
	src/stream/options_json.o \
	src/stream/options_wal2json.o \
	src/stream/options_debezium.o \
	src/stream/publication.o \
	src/stream/rowfilter.o \
	src/stream/snapshot.o \
	src/stream/origin.o \
	src/stream/relation.o \
	src/stream/relation_cache.o \
	src/stream/open_relation.o \
	src/stream/overlap.o \
	src/stream/relation_build.o \
	src/stream/relation_key.o \
	src/stream/transaction.o \
	src/stream/prepared.o \
	src/stream/streamed.o \
	src/stream/tuple.o \
	src/stream/change.o \
	src/stream/ddl_capture.o \
	src/stream/ddl.o \
	src/stream/captured.o \
	src/stream/message.o \
	src/stream/record.o \
	src/stream/oversize.o \
	src/stream/send_queue.o \
	src/stream/writer.o \
	src/export/proof/stamp.o \
	src/export/proof/signature.o \
	src/export/proof/signature_query.o \
	src/export/proof/signature_type.o \
	src/export/proof/digest.o \
	src/export/proof/validity.o \
	src/export/part/part_check.o \
	src/export/part/part_signature.o \
	src/export/part/carry.o \
	src/export/plan/handover.o \
	src/export/export_settings.o \
	src/export/job/error.o \
	src/export/run/retry.o \
	src/export/export_options.o \
	src/export/job/job_access.o \
	src/export/job/table_row.o \
	src/export/job/job_lock.o \
	src/export/job/job.o \
	src/export/job/job_server.o \
	src/export/job/job_triggers.o \
	src/export/job/job_state.o \
	src/export/job/job_find.o \
	src/export/job/job_update.o \
	src/export/job/finding.o \
	src/export/job/part_table.o \
	src/export/job/rights.o \
	src/export/plan/source.o \
	src/export/plan/source_list.o \
	src/export/plan/export_filter.o \
	src/export/plan/filter_objects.o \
	src/export/plan/masks.o \
	src/export/part/planned_scan.o \
	src/export/destination.o \
	src/export/destination_empty.o \
	src/export/destination_tables.o \
	src/export/destination_uri.o \
	src/export/finish/left.o \
	src/export/destination_types.o \
	src/export/finish/ownership.o \
	src/export/finish/older.o \
	src/export/plan/plan.o \
	src/export/plan/plan_record.o \
	src/export/part/throttle.o \
	src/export/part/part.o \
	src/export/part/part_rows.o \
	src/export/part/query_rows.o \
	src/export/plan/part_key.o \
	src/export/plan/query.o \
	src/export/plan/query_guard.o \
	src/export/plan/query_tables.o \
	src/export/run/launch.o \
	src/export/run/shared.o \
	src/export/run/part_run.o \
	src/export/run/worker.o \
	src/export/run/worker_process.o \
	src/export/run/coordinator.o \
	src/export/run/worker_pool.o \
	src/export/run/queue.o \
	src/export/run/launcher.o \
	src/export/run/waiter.o \
	src/export/run/tell.o \
	src/export/run/inline.o \
	src/export/run/call.o \
	src/export/run/query_run.o \
	src/export/lake/lake.o \
	src/export/lake/lake_answer.o \
	src/export/lake/lake_claim.o \
	src/export/lake/lake_left.o \
	src/export/lake/lake_sent.o \
	src/export/lake/lake_carried.o \
	src/export/lake/lake_live.o \
	src/export/lake/lake_version.o \
	src/export/lake/lake_check.o \
	src/export/lake/lake_verify.o \
	src/export/lake/lake_json.o \
	src/export/lake/iceberg_metadata.o \
	src/export/lake/iceberg_metadata_next.o \
	src/export/lake/iceberg_evolve.o \
	src/export/lake/iceberg_identifier.o \
	src/export/lake/iceberg_order.o \
	src/export/lake/iceberg_spec.o \
	src/export/lake/iceberg_put.o \
	src/export/lake/iceberg_rest.o \
	src/export/lake/iceberg_rest_change.o \
	src/export/lake/lake_catalog.o \
	src/export/lake/iceberg_manifest.o \
	src/export/lake/iceberg_commit.o \
	src/export/lake/iceberg_refs.o \
	src/export/lake/iceberg_known.o \
	src/export/lake/iceberg_check.o \
	src/export/lake/iceberg_vacuum.o \
	src/export/lake/delta_log.o \
	src/export/lake/delta_state.o \
	src/export/lake/delta_sum.o \
	src/export/lake/delta_action.o \
	src/export/lake/delta_check.o \
	src/export/lake/delta_checkpoint_file.o \
	src/export/lake/delta_commit.o \
	src/export/lake/lake_sql.o \
	src/export/finish/abandon.o \
	src/export/finish/names.o \
	src/export/finish/own_file.o \
	src/export/finish/prune.o \
	src/export/finish/publish.o \
	src/export/finish/restore.o \
	src/export/finish/manifest.o \
	src/export/finish/verify.o \
	src/export/arguments.o \
	src/export/check_destination.o \
	src/export/sql.o \
	src/export/sql_job.o \
	src/export/take_over.o \
	src/export/unfinished.o \
	src/sink/sink.o \
	src/sink/patience.o \
	src/sink/compress/compress.o \
	src/sink/compress/gzip.o \
	src/sink/compress/zstd.o \
	src/sink/compress/lz4.o \
	src/sink/age/bech32.o \
	src/sink/age/age_key.o \
	src/sink/age/age.o \
	src/sink/checksum.o \
	src/sink/meter.o \
	src/sink/file/file_fd.o \
	src/sink/file/file_guard.o \
	src/sink/file/file_root.o \
	src/sink/file/file_path.o \
	src/sink/file/file_temp.o \
	src/sink/file/file_owner.o \
	src/sink/file/file.o \
	src/sink/file/file_move.o \
	src/sink/file/file_destination.o \
	src/sink/server.o \
	src/sink/http/address.o \
	src/aws/sigv4.o \
	src/sink/s3/s3_config.o \
	src/sink/http/curl_library.o \
	src/sink/http/http_address.o \
	src/sink/http/http.o \
	src/sink/http/http_text.o \
	src/sink/http/endpoint.o \
	src/sink/catalog/catalog.o \
	src/sink/catalog/catalog_config.o \
	src/sink/catalog/catalog_request.o \
	src/sink/s3/s3_xml.o \
	src/sink/s3/s3_store.o \
	src/sink/s3/s3_request.o \
	src/sink/s3/s3_list.o \
	src/sink/s3/crc64.o \
	src/sink/s3/s3_checksum.o \
	src/sink/s3/s3_object.o \
	src/sink/s3/s3_download.o \
	src/sink/s3/s3_multipart.o \
	src/sink/s3/s3_left.o \
	src/sink/s3/s3_upload.o \
	src/sink/s3/s3_copy.o \
	src/sink/s3/s3_place.o \
	src/sink/s3/s3_probe.o \
	src/sink/s3/s3_record.o \
	src/sink/s3/s3_staged.o \
	src/sink/s3/s3_destination.o \
	src/sink/postgres/postgres_config.o \
	src/sink/postgres/remote.o \
	src/sink/postgres/remote_address.o \
	src/sink/postgres/remote_error.o \
	src/sink/postgres/remote_connect.o \
	src/sink/postgres/remote_environment.o \
	src/sink/postgres/postgres_place.o \
	src/sink/postgres/postgres_ledger.o \
	src/sink/postgres/postgres_fit.o \
	src/sink/postgres/postgres_target.o \
	src/sink/postgres/postgres_column.o \
	src/sink/postgres/postgres_staging.o \
	src/sink/postgres/postgres_remove.o \
	src/sink/postgres/postgres_part.o \
	src/sink/postgres/postgres_direct.o \
	src/sink/postgres/postgres_kept.o \
	src/sink/postgres/postgres_verify.o \
	src/sink/postgres/row_digest.o \
	src/sink/postgres/postgres_publish.o \
	src/sink/postgres/postgres_destination.o

# the program pg_outflow, along the way of a record: it is asked for, received,
# delivered.  A target whose library is missing here says so when it is used.
CLIENT_OBJS = \
	src/client/memory.o \
	src/client/json_scan.o \
	src/client/key_memory.o \
	src/client/log.o \
	src/client/disk.o \
	src/client/loop.o \
	src/client/notify.o \
	src/client/cli.o \
	src/client/cli_help.o \
	src/client/cli_read.o \
	src/client/cli_value.o \
	src/client/url.o \
	src/client/position.o \
	src/client/slot_state.o \
	src/client/frame.o \
	src/client/backlog.o \
	src/client/intake.o \
	src/client/plugin_options.o \
	src/client/pq_connect.o \
	src/client/pq_error.o \
	src/client/pq_notice.o \
	src/client/pq_place.o \
	src/client/restart.o \
	src/client/upstream_start.o \
	src/client/upstream_failures.o \
	src/client/upstream_history.o \
	src/client/upstream.o \
	src/client/dead_letter.o \
	src/client/target.o \
	src/client/targets/stretch.o \
	src/client/targets/deliver_stdout.o \
	src/client/targets/deliver_file.o \
	src/client/targets/curl_loop.o \
	src/client/targets/http_form.o \
	src/client/targets/http_signature.o \
	src/client/targets/deliver_http.o \
	src/client/targets/facts.o \
	src/client/targets/kafka_record.o \
	src/client/targets/kafka_reject.o \
	src/client/targets/kafka_send.o \
	src/client/targets/kafka_topics.o \
	src/client/targets/kafka_transactions.o \
	src/client/targets/kafka_exactly.o \
	src/client/targets/kafka_producer.o \
	src/client/targets/deliver_kafka.o \
	src/client/targets/postgres_session.o \
	src/client/targets/postgres_start.o \
	src/client/targets/postgres_table.o \
	src/client/targets/postgres_statement.o \
	src/client/targets/postgres_apply.o \
	src/client/targets/postgres_answer.o \
	src/client/targets/deliver_postgres.o \
	src/client/targets/mqtt_message.o \
	src/client/targets/mqtt_connection.o \
	src/client/targets/deliver_mqtt.o \
	src/aws/sigv4.o \
	src/client/targets/aws_container.o \
	src/client/targets/aws_credentials.o \
	src/client/targets/kinesis_request.o \
	src/client/targets/kinesis_shards.o \
	src/client/targets/kinesis_open.o \
	src/client/targets/kinesis_ring.o \
	src/client/targets/deliver_kinesis.o \
	src/client/targets/milvus_table.o \
	src/client/targets/milvus_type.o \
	src/client/targets/milvus_schema.o \
	src/client/targets/milvus_value.o \
	src/client/targets/milvus_change.o \
	src/client/targets/milvus_request.o \
	src/client/targets/milvus_batch.o \
	src/client/targets/milvus_open.o \
	src/client/targets/deliver_milvus.o \
	src/client/targets/ws_spool.o \
	src/client/targets/ws_spool_read.o \
	src/client/targets/ws_http.o \
	src/client/targets/ws_message.o \
	src/client/targets/ws_page.o \
	src/client/targets/ws_reader.o \
	src/client/targets/ws_subscription.o \
	src/client/targets/ws_session.o \
	src/client/targets/ws_database.o \
	src/client/targets/ws_open.o \
	src/client/targets/deliver_ws.o \
	src/client/target_table.o \
	src/client/delivery.o \
	src/client/listen.o \
	src/client/metrics.o \
	src/client/run_stream.o \
	src/client/replay.o \
	src/client/server_call.o \
	src/client/progress.o \
	src/client/progress_view.o \
	src/client/run_export.o \
	src/client/manifest_read.o \
	src/client/sum.o \
	src/client/verify_report.o \
	src/client/verify_files.o \
	src/client/verify_open.o \
	src/client/run_verify.o \
	src/client/check_server.o \
	src/client/run_check.o \
	src/client/pg_outflow.o
CLIENT_LIBS = -L$(libdir) -lpq -lzstd -lz -lxxhash -lcrypto
has_header = $(wildcard $(addsuffix /$(1),/usr/include /usr/local/include \
	/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)))
ifneq ($(call has_header,curl/curl.h),)
CLIENT_DEFINES += -DHAVE_LIBCURL
CLIENT_LIBS += -lcurl
endif
ifneq ($(call has_header,librdkafka/rdkafka.h),)
CLIENT_DEFINES += -DHAVE_RDKAFKA
CLIENT_LIBS += -lrdkafka
endif
ifneq ($(call has_header,mosquitto.h),)
CLIENT_DEFINES += -DHAVE_MOSQUITTO
CLIENT_LIBS += -lmosquitto
endif

ifneq ($(call has_header,wslay/wslay.h),)
CLIENT_DEFINES += -DHAVE_WSLAY
CLIENT_LIBS += -lwslay
endif
# the page's files as C texts
CLIENT_PAGE = $(patsubst $(home)/%,%.inc,$(wildcard $(home)/src/client/page/*.html \
	$(home)/src/client/page/*.css $(home)/src/client/page/*.js))

VERSION_OF_CONTROL = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" \
	$(home)/control/outflow.control)
PG_CPPFLAGS = -I$(srcdir)/src -I$(libpq_srcdir) -fvisibility=hidden \
	-DPGDLLEXPORT='__attribute__((visibility("default")))' \
	-DOUTFLOW_VERSION='"$(VERSION_OF_CONTROL)"'
# a kind of value that a switch forgets is no warning: see src/encode/value/kind_form.c
PG_CFLAGS = -Werror=switch
ifdef FAILPOINTS
PG_CPPFLAGS += -DOUTFLOW_FAILPOINTS
endif
# libcurl is loaded when a destination is first reached over HTTP, and not linked
NO_CURL = $(shell echo '\#include <curl/curl.h>' | $(CC) -E - >/dev/null 2>&1 || \
	echo 'libcurl has no headers here (libcurl4-openssl-dev): destinations over HTTP, such as S3, will be refused')
SHLIB_LINK = -ldl $(libpq) -lz -lzstd -llz4 -lsnappy -lxxhash -lcrypto

# installcheck: against the running server that PGHOST and PGPORT name
REGRESS = $(notdir $(basename $(sort $(wildcard $(home)/sql/*.sql))))
REGRESS_OPTS = --inputdir=$(srcdir) --load-extension=outflow
ISOLATION = $(notdir $(basename $(sort \
	$(wildcard $(home)/test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=outflow

EXTRA_CLEAN = tmp_check tmp_build pg_outflow $(CLIENT_OBJS) $(CLIENT_PAGE) test/modules/*/*.o test/modules/*/*.so

# no query inlines our functions, so there is no bitcode to build
override with_llvm = no

# Without pg_config there are only the targets that install it
PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)

# make would take what is there for what it should build here
ifneq ($(realpath $(home)),$(CURDIR))
ifneq ($(wildcard $(addprefix $(home)/,$(OBJS) $(CLIENT_OBJS))),)
$(error $(home) has been built in; run "make clean" there, then build here)
endif
endif

all: pg_outflow
$(filter src/client/%,$(CLIENT_OBJS)): CPPFLAGS += $(CLIENT_DEFINES)
src/client/targets/ws_page.o: CPPFLAGS += -Isrc
src/client/targets/ws_page.o: $(CLIENT_PAGE)
$(CLIENT_PAGE): %.inc: %
	@mkdir -p $(@D)
	sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $< >$@
pg_outflow: $(CLIENT_OBJS)
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDFLAGS_EX) $(CLIENT_LIBS) -o $@

install: install-client
uninstall: uninstall-client
install-client: pg_outflow
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) pg_outflow '$(DESTDIR)$(bindir)/pg_outflow'
uninstall-client:
	rm -f '$(DESTDIR)$(bindir)/pg_outflow'

# The library under the name of a plugin that speaks wal2json by default.  A link,
# by which the server knows that it is the same one and loads it once.
WAL2JSON_NAME = $(DESTDIR)$(pkglibdir)/outflow_wal2json$(DLSUFFIX)
WAL2JSON_ITSELF = $(DESTDIR)$(pkglibdir)/wal2json$(DLSUFFIX)

installcheck: export PGOPTIONS += -c outflow_test.dir=$(CURDIR)/output_iso/results
installcheck: installcheck-needs
installcheck-needs:
	@$(home)/test/installcheck-needs '$(bindir)/psql' '$(CURDIR)/results' \
		'$(CURDIR)/output_iso/results'

install: install-name
uninstall: uninstall-names
install-name: installdirs
	ln -sf outflow$(DLSUFFIX) '$(WAL2JSON_NAME)'

# and under wal2json's own, where there is none
install-wal2json: install
	@if [ "$$(readlink '$(WAL2JSON_ITSELF)')" = outflow$(DLSUFFIX) ]; then :; \
	elif [ -e '$(WAL2JSON_ITSELF)' ] || [ -L '$(WAL2JSON_ITSELF)' ]; then \
		echo "there is a wal2json already, $(WAL2JSON_ITSELF):" \
			"remove its package first, or use the plugin outflow_wal2json" >&2; \
		exit 1; \
	else \
		ln -s outflow$(DLSUFFIX) '$(WAL2JSON_ITSELF)'; \
	fi

uninstall-names:
	rm -f '$(WAL2JSON_NAME)'
	@if [ "$$(readlink '$(WAL2JSON_ITSELF)')" = outflow$(DLSUFFIX) ]; then \
		rm -f '$(WAL2JSON_ITSELF)'; \
	fi
else
all install install-wal2json installdirs uninstall clean installcheck:
	@echo "\"$(PG_CONFIG)\" names no server with development files;" \
		"\"make deps\" installs Debian's" >&2; exit 1
endif

src/sink/http/http.o: | say-without-curl
say-without-curl:
	@message="$(NO_CURL)"; [ -z "$$message" ] || echo "warning: $$message" >&2
.PHONY: say-without-curl

# Debian's PGXS does not track headers
HEADERS = $(wildcard $(home)/src/*.h $(home)/src/*/*.h $(home)/src/*/*/*.h)
$(OBJS): $(filter-out $(home)/src/client/%,$(HEADERS))
$(CLIENT_OBJS): $(filter $(home)/src/client/% $(home)/src/aws/%,$(HEADERS))
ifneq ($(home),.)
$(shell mkdir -p $(sort $(dir $(OBJS) $(CLIENT_OBJS))))
endif

# Every target below works as the first command on a fresh machine: it gets
# the packages, then starts make again, which then finds pg_config.  None
# installs outflow: servers of tests are copies of their own.
export PG_CONFIG
READY = $(MAKE) -s test-deps && $(MAKE) -s -j $$(nproc) all
TEST_READY = $(READY) && $(MAKE) -s test-modules

ready:
	@$(TEST_READY)

deps:
	@test/deps

test-deps:
	@test/deps test

demo:
	@$(READY)
	@test/demo/run

test:
	@$(TEST_READY)
	@test/run

# one suite, and with TESTS="name other*" some of its tests
SUITES = test-regress test-isolation test-pgtap test-tap test-interop
$(SUITES):
	@$(TEST_READY)
	@TESTS='$(TESTS)' test/run $(@:test-%=%)

# A build of another kind, from a copy of the sources: tmp_build/KIND, with these
# variables, of all or of this target
BUILD_KIND = mkdir -p tmp_build/$(1) && \
	tar -c --exclude='*.o' Makefile control src | tar -x -C tmp_build/$(1) && \
	$(MAKE) -s -j $$(nproc) -C tmp_build/$(1) $(or $(3),all) $(2)

# Long: failpoints compiled in, a hundred rounds where a test takes ten
test-fault:
	@$(TEST_READY)
	@$(call BUILD_KIND,fault,FAILPOINTS=1)
	@TESTS='$(TESTS)' OUTFLOW_ROUNDS=$${OUTFLOW_ROUNDS:-100} \
		BUILD=$(CURDIR)/tmp_build/fault test/run fault tap

# libraries that only tests load, from where they are built
test-modules:
	@for module in $(dir $(wildcard test/modules/*/Makefile)); do \
		$(MAKE) -C $$module all || exit; \
	done

test-valgrind:
	@command -v valgrind >/dev/null || test/deps valgrind
	@$(TEST_READY)
	@TESTS='$(TESTS)' test/run valgrind

# The SQL tests with assertions, and with the address and undefined behaviour
# sanitizers
test-sanitize:
	@$(READY)
	@$(call BUILD_KIND,sanitize,COPT="-O1 -g -DUSE_ASSERT_CHECKING \
		-fsanitize=address -fsanitize=undefined -fno-sanitize=alignment")
	@TESTS='$(TESTS)' BUILD=$(CURDIR)/tmp_build/sanitize test/run sanitize

# The tests of the client with these sanitizers in the client; the server is the
# usual one
test-sanitize-client:
	@$(TEST_READY)
	@$(call BUILD_KIND,sanitize-client,COPT="-O1 -g -fno-omit-frame-pointer \
		-fsanitize=address -fsanitize=undefined \
		-fno-sanitize-recover=undefined",pg_outflow)
	@TESTS='$(TESTS)' CLIENT=$(CURDIR)/tmp_build/sanitize-client/pg_outflow \
		test/run sanitize-client

# and a few of them with the client under valgrind
test-valgrind-client:
	@command -v valgrind >/dev/null || test/deps valgrind
	@$(TEST_READY)
	@TESTS='$(TESTS)' OUTFLOW_ROUNDS=$${OUTFLOW_ROUNDS:-3} test/run valgrind-client

# A stream for SOAK_SECONDS, whose memory must be flat
soak:
	@$(TEST_READY)
	@test/run soak

# All suites, and which lines of src/ they reach: tmp_build/coverage/lines.txt.  The
# build is the one that users get, but for the counters.
coverage:
	@$(TEST_READY)
	@test/deps gcovr
	@$(call BUILD_KIND,coverage,COPT=--coverage)
	@find tmp_build/coverage -name '*.gcda' -delete
	@BUILD=$(CURDIR)/tmp_build/coverage test/run $(SUITE) || status=1; \
	cd tmp_build/coverage && gcovr --root . --filter src/ \
		--sort-uncovered >lines.txt && tail -n 3 lines.txt && \
	exit $${status:-0}

# With a second compiler, warnings as errors; and the client without the libraries
# that its targets can be built without
check-clang:
	@test/deps && test/deps clang
	@$(call BUILD_KIND,clang,CC=clang COPT="-Wall -Wextra -Werror \
		-Wno-unused-parameter -Wno-sign-compare \
		-Wno-missing-field-initializers -Wno-unknown-warning-option \
		-Wno-ignored-optimization-argument -Wno-ignored-attributes")
	@rm -f $(addprefix tmp_build/clang/,pg_outflow $(CLIENT_OBJS))
	@$(MAKE) -s -C tmp_build/clang has_header= pg_outflow
	@for url in http://localhost kafka://localhost mqtt://localhost \
			kinesis://localhost milvus://localhost ws://localhost:1; do \
		tmp_build/clang/pg_outflow stream -d "" -S slot --to $$url 2>&1 | \
			grep -q 'built without' || exit; done

test-matrix:
	@test/matrix

# measurements print a table; they are no tests and nothing depends on them
BENCHES = $(patsubst test/bench/%,bench-%,$(wildcard $(addprefix \
	test/bench/,stream stream_scale export public lake sink client)))
$(BENCHES):
	@$(READY)
	@test/bench/$(@:bench-%=%)

bench: $(BENCHES)

# each target for FUZZ_SECONDS
test-fuzz:
	@$(READY)
	@OBJS='$(OBJS)' SHLIB_LINK='$(SHLIB_LINK)' test/fuzz/run

# Debian packages postgresql-NN-outflow for each server whose headers are here,
# into tmp_build/deb; its files are in control/debian
deb:
	@test/deps && test/deps debhelper:dh dpkg-dev:dpkg-buildpackage fakeroot lintian \
		postgresql-server-dev-all:dh_make_pgxs
	@rm -rf tmp_build/deb && mkdir -p tmp_build/deb/outflow
	@$(TREE) | tar -x -C tmp_build/deb/outflow
	@cd tmp_build/deb/outflow && cp -r control/debian . && \
		pg_buildext updatecontrol && dpkg-buildpackage -us -uc -b
	@cd tmp_build/deb && rm -r outflow && \
		lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs *.deb

# DESTDIR, uninstall, pg_buildext, and the package in a fresh Debian
test-deb:
	@$(READY)
	@test/package

# The tree as a tar file: what git has, where there is git
TREE = { git ls-files -z 2>/dev/null || \
	find . -type f ! -path './tmp_*' ! -name '*.o' ! -name '*.so' -print0; } | \
	tar -c --null --files-from=- --ignore-failed-read
dist:
	@$(TREE) --transform 's|^\(\./\)\?|outflow-$(VERSION_OF_CONTROL)/|' \
		>outflow-$(VERSION_OF_CONTROL).tar
	@echo outflow-$(VERSION_OF_CONTROL).tar

check-style:
	@test/check-style

indent:
	clang-format -i $(wildcard src/*.[ch] src/*/*.[ch] src/*/*/*.[ch])

help:
	@echo "all             build the library and the program pg_outflow"
	@echo "install         install it into the server that PG_CONFIG= names"
	@echo "install-wal2json  the same, and under the name wal2json, if none is there"
	@echo "uninstall clean the reverse"
	@echo "installcheck    SQL and isolation tests against a running server"
	@echo "deps            install what building lacks, by Debian package name"
	@echo "test-deps       and what the tests lack, which install it themselves"
	@echo "demo            export and stream real data on a throw-away server"
	@echo "test            all suites on throw-away servers"
	@echo "test-SUITE      one of regress, isolation, pgtap, tap, interop;"
	@echo "                TESTS=\"name other*\" selects tests"
	@echo "test-fault      kills at every failpoint and at random, an hour or so"
	@echo "test-matrix     the suites on PostgreSQL 17, 18 and 19, in a Debian of their own"
	@echo "test-valgrind   the SQL tests on a server under valgrind"
	@echo "test-sanitize   the SQL tests with sanitizers and assertions"
	@echo "test-sanitize-client, test-valgrind-client  the same of the program pg_outflow"
	@echo "soak            stream for SOAK_SECONDS (1800), and watch the memory"
	@echo "coverage        which lines of src/ the suites reach"
	@echo "check-clang     build with clang, warnings as errors"
	@echo "test-fuzz       encoders and option parser under libFuzzer; TESTS=, FUZZ_SECONDS="
	@echo "bench bench-X   measure, beside the peers: X is one of test/bench"
	@echo "test-deb        what packagers rely on, and the package in a fresh Debian"
	@echo "deb dist        Debian packages into tmp_build/deb; the tree as a tar file"
	@echo "check-style     include directions and sizes of files"
	@echo "indent          format the C sources"

.PHONY: installcheck-needs install-client uninstall-client install-name install-wal2json uninstall-names ready deps test-deps demo test $(SUITES) \
	test-fault test-modules test-valgrind test-valgrind-client test-sanitize test-sanitize-client soak test-matrix test-fuzz \
	coverage check-clang bench $(BENCHES) deb test-deb dist check-style indent help
