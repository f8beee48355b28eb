# outflow: one PGXS file builds, installs, tests and shows everything.
# "make help" lists the targets; PG_CONFIG= selects the server.

EXTENSION = control/outflow
DATA = $(wildcard control/outflow--*.sql)
MODULE_big = outflow

# sorted by the way of a row: what it is, how it is encoded, where it goes
OBJS = \
	src/outflow.o \
	src/preflight.o \
	src/option.o \
	src/failpoint.o \
	src/row/type.o \
	src/row/shape.o \
	src/row/invalidate.o \
	src/row/settings.o \
	src/encode/buffer.o \
	src/encode/text.o \
	src/encode/numeric.o \
	src/encode/datetime.o \
	src/encode/encoding.o \
	src/encode/json.o \
	src/encode/json_string.o \
	src/encode/jsonb.o \
	src/encode/kind_form.o \
	src/encode/text_value.o \
	src/encode/format.o \
	src/encode/csv.o \
	src/encode/copy_text.o \
	src/encode/copy_binary.o \
	src/encode/jsonl.o \
	src/encode/parquet.o \
	src/encode/parquet_node.o \
	src/encode/parquet_schema.o \
	src/encode/parquet_value.o \
	src/encode/parquet_number.o \
	src/encode/parquet_decimal.o \
	src/encode/parquet_column.o \
	src/encode/parquet_dictionary.o \
	src/encode/parquet_bound.o \
	src/encode/parquet_page.o \
	src/encode/parquet_codec.o \
	src/encode/parquet_footer.o \
	src/encode/parquet_read.o \
	src/encode/parquet_thrift.o \
	src/encode/parquet_rle.o \
	src/encode/parquet_bytes.o \
	src/encode/change_json.o \
	src/encode/change_json_parts.o \
	src/encode/change_json_schema.o \
	src/encode/change_json_transaction.o \
	src/encode/wal2json_shape.o \
	src/encode/wal2json_value.o \
	src/encode/wal2json_v1_shape.o \
	src/encode/change_wal2json_v1.o \
	src/encode/change_wal2json_v2.o \
	src/encode/debezium_source.o \
	src/encode/change_debezium.o \
	src/stream/plugin.o \
	src/stream/options.o \
	src/stream/options_wal2json.o \
	src/stream/options_debezium.o \
	src/stream/filter.o \
	src/stream/publication.o \
	src/stream/rowfilter.o \
	src/stream/snapshot.o \
	src/stream/origin.o \
	src/stream/relation.o \
	src/stream/relation_build.o \
	src/stream/transaction.o \
	src/stream/streamed.o \
	src/stream/tuple.o \
	src/stream/change.o \
	src/stream/ddl_capture.o \
	src/stream/ddl.o \
	src/stream/message.o \
	src/stream/oversize.o \
	src/stream/send_queue.o \
	src/stream/writer.o \
	src/export/stamp.o \
	src/export/signature.o \
	src/export/digest.o \
	src/export/validity.o \
	src/export/carry.o \
	src/export/handover.o \
	src/export/export_settings.o \
	src/export/error.o \
	src/export/retry.o \
	src/export/export_options.o \
	src/export/job_access.o \
	src/export/job_lock.o \
	src/export/job.o \
	src/export/job_update.o \
	src/export/part_table.o \
	src/export/source.o \
	src/export/source_list.o \
	src/export/export_filter.o \
	src/export/planned_scan.o \
	src/export/destination.o \
	src/export/plan.o \
	src/export/throttle.o \
	src/export/part.o \
	src/export/part_rows.o \
	src/export/shared.o \
	src/export/worker.o \
	src/export/coordinator.o \
	src/export/queue.o \
	src/export/waiter.o \
	src/export/inline.o \
	src/export/publish.o \
	src/export/manifest.o \
	src/export/row_counter.o \
	src/export/tail_counter.o \
	src/export/verify.o \
	src/export/arguments.o \
	src/export/sql.o \
	src/sink/sink.o \
	src/sink/compress.o \
	src/sink/gzip.o \
	src/sink/zstd.o \
	src/sink/lz4.o \
	src/sink/bech32.o \
	src/sink/age_key.o \
	src/sink/age.o \
	src/sink/meter.o \
	src/sink/file_fd.o \
	src/sink/file_guard.o \
	src/sink/file_root.o \
	src/sink/file_temp.o \
	src/sink/file.o \
	src/sink/file_move.o

VERSION_OF_CONTROL = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" \
	control/outflow.control)
PG_CPPFLAGS = -I$(srcdir)/src -I$(libpq_srcdir) -fvisibility=hidden \
	-DPGDLLEXPORT='__attribute__((visibility("default")))' \
	-DOUTFLOW_VERSION='"$(VERSION_OF_CONTROL)"'
# a kind of value that a switch forgets is no warning: see src/encode/kind_form.c
PG_CFLAGS = -Werror=switch
ifdef FAILPOINTS
PG_CPPFLAGS += -DOUTFLOW_FAILPOINTS
endif
SHLIB_LINK = $(libpq) -lz -lzstd -llz4 -lsnappy -lcrypto

# installcheck: against the running server that PGHOST and PGPORT name, which
# needs the settings that "make test" gives its own servers
REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --load-extension=outflow
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,\
	$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=outflow

EXTRA_CLEAN = tmp_check test/modules/*/*.o test/modules/*/*.so

# no query inlines our functions, so there is no bitcode to build
override with_llvm = no

# Without pg_config there are only the targets that install it
PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
all install installdirs uninstall clean installcheck:
	@echo "\"$(PG_CONFIG)\" names no server with development files;" \
		"\"make deps\" installs Debian's" >&2; exit 1
endif

# Debian's PGXS does not track headers
$(OBJS): $(wildcard src/*.h src/*/*.h)

# Every target below works as the first command on a fresh machine: it gets
# the packages, then starts make again, which then finds pg_config.
export PG_CONFIG
READY = $(MAKE) -s deps && $(MAKE) -s -j $$(nproc) all && $(MAKE) -s install-as-needed
TEST_READY = $(READY) && $(MAKE) -s test-modules

ready:
	@$(TEST_READY)

deps:
	@test/deps

# root's rights only where the server's directories need them
install-as-needed:
	@if [ -w "$$($(PG_CONFIG) --pkglibdir)" ]; then \
		$(MAKE) --no-print-directory install; \
	else \
		sudo $(MAKE) --no-print-directory install PG_CONFIG='$(PG_CONFIG)' \
			FAILPOINTS='$(FAILPOINTS)'; \
	fi

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

# Long: failpoints compiled in, a hundred rounds where a test takes ten.  The
# library without failpoints comes back afterwards.
test-fault:
	@$(MAKE) -s deps && $(MAKE) -s clean
	@$(MAKE) -s -j $$(nproc) all FAILPOINTS=1 && $(MAKE) -s install-as-needed FAILPOINTS=1
	@$(MAKE) -s test-modules
	@TESTS='$(TESTS)' OUTFLOW_ROUNDS=$${OUTFLOW_ROUNDS:-100} \
		test/run fault tap; status=$$?; \
	$(MAKE) -s clean && $(MAKE) -s -j $$(nproc) all && $(MAKE) -s install-as-needed && \
	exit $$status

# libraries that only tests load, from where they are built
test-modules:
	@for module in $(dir $(wildcard test/modules/*/Makefile)); do \
		$(MAKE) -C $$module all || exit; \
	done

test-valgrind:
	@command -v valgrind >/dev/null || test/deps valgrind
	@$(TEST_READY)
	@TESTS='$(TESTS)' test/run valgrind

test-matrix:
	@test/matrix

# measurements print a table; they are no tests and nothing depends on them
BENCHES = $(patsubst test/bench/%,bench-%,$(wildcard $(addprefix \
	test/bench/,stream stream_scale export sink client)))
$(BENCHES):
	@$(READY)
	@test/bench/$(@:bench-%=%)

bench: $(BENCHES)

# each target for FUZZ_SECONDS
test-fuzz:
	@$(READY)
	@OBJS='$(OBJS)' SHLIB_LINK='$(SHLIB_LINK)' test/fuzz/run

check-style:
	@test/check-style

indent:
	clang-format -i $(wildcard src/*.[ch] src/*/*.[ch])

help:
	@echo "all             build the library"
	@echo "install         install it into the server that PG_CONFIG= names"
	@echo "uninstall clean the reverse"
	@echo "installcheck    SQL and isolation tests against a running server"
	@echo "deps            install what is missing, by Debian package name"
	@echo "demo            export and stream real data on a throw-away server"
	@echo "test            all suites on throw-away servers"
	@echo "test-SUITE      one of regress, isolation, pgtap, tap, interop;"
	@echo "                TESTS=\"name other*\" selects tests"
	@echo "test-fault      kills at every failpoint and at random, an hour or so"
	@echo "test-matrix     the suites on PostgreSQL 17 and 18, in a Debian of their own"
	@echo "test-valgrind   the SQL tests on a server under valgrind"
	@echo "test-fuzz       encoders and option parser under libFuzzer; TESTS=, FUZZ_SECONDS="
	@echo "bench bench-X   measure, beside the peers: X is one of test/bench"
	@echo "check-style     include directions and sizes of files"
	@echo "indent          format the C sources"

.PHONY: ready deps install-as-needed demo test $(SUITES) \
	test-fault test-modules test-valgrind test-matrix test-fuzz \
	bench $(BENCHES) check-style indent help
