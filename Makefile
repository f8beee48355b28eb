# outflow: one PGXS file builds, installs, tests and shows everything.
#
#   make, make install, make uninstall, make clean     PG_CONFIG= selects the server

EXTENSION = control/outflow
DATA = $(wildcard control/outflow--*.sql)
MODULE_big = outflow

# sorted by the way of a row: what it is, how it is encoded, where it goes
OBJS = \
	src/outflow.o \
	src/option.o \
	src/row/type.o \
	src/row/shape.o \
	src/row/invalidate.o \
	src/row/settings.o \
	src/encode/text.o \
	src/encode/numeric.o \
	src/encode/datetime.o \
	src/encode/json.o \
	src/encode/json_string.o \
	src/encode/text_value.o \
	src/encode/format.o \
	src/encode/csv.o \
	src/encode/jsonl.o

PG_CPPFLAGS = -I$(srcdir)/src -I$(libpq_srcdir) -fvisibility=hidden \
	-DPGDLLEXPORT='__attribute__((visibility("default")))'
SHLIB_LINK = $(libpq) -lz -lzstd -llz4 -lcrypto

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Debian's PGXS does not track headers
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h src/*/*.h)
