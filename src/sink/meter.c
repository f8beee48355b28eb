/*
 * meter.c
 *		A stage that counts and sums the bytes that pass it.
 */
#include "postgres.h"

#include "sink/stage.h"

typedef struct MeterSink
{
	Sink	  base;
	Meter	 *meter;
	bool	  with_crc;
	pg_crc32c crc;
	/* of the checksum, if asked for; the meter may be gone before we are */
	const ChecksumMethod *method;
	void				 *state; /* NULL when done */
} MeterSink;

static void meter_write(Sink *sink, const char *data, size_t len);
static void meter_finish(Sink *sink);
static void meter_cleanup(Sink *sink);

static const SinkOps meter_ops = {
	.write = meter_write,
	.finish = meter_finish,
	.cleanup = meter_cleanup,
};

static void
meter_release(void *argument)
{
	MeterSink *self = argument;

	if (self->state)
		self->method->release(self->state);
	self->state = NULL;
}

Sink *
meter_new(Sink *next, Meter *meter, bool with_crc,
		  const ChecksumMethod *method)
{
	MeterSink *self = sink_stage_new(sizeof(MeterSink), &meter_ops, next);

	memset(meter, 0, sizeof(Meter));
	self->meter = meter;
	self->with_crc = with_crc;
	INIT_CRC32C(self->crc);
	if (method)
	{
		meter->checksum.method = self->method = method;
		sink_guard(meter_release, self);
		self->state = method->begin();
	}
	return &self->base;
}

static void
meter_write(Sink *sink, const char *data, size_t len)
{
	MeterSink *self = (MeterSink *) sink;

	self->meter->bytes += len;
	if (self->with_crc)
		COMP_CRC32C(self->crc, data, len);
	if (self->state)
		self->method->add(self->state, data, len);
	sink_write(sink->next, data, len);
}

static void
meter_finish(Sink *sink)
{
	MeterSink *self = (MeterSink *) sink;

	if (self->with_crc)
	{
		FIN_CRC32C(self->crc);
		self->meter->crc = self->crc;
	}
	if (self->state)
	{
		self->method->end(self->state, self->meter->checksum.sum);
		meter_release(self);
	}
	sink_finish(sink->next);
}

static void
meter_cleanup(Sink *sink)
{
	meter_release(sink);
	sink_cleanup(sink->next);
}
