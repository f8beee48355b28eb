/*
 * meter.c
 *		A stage that counts and sums the bytes that pass it.
 *
 * SHA-256 comes from OpenSSL directly: the server's own wrapper binds a hash
 * to the resource owner that made it, and a chain may outlive that one.
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "compat.h"
#include "sink/stage.h"

typedef struct MeterSink
{
	Sink		base;
	Meter	   *meter;
	bool		with_crc;
	pg_crc32c	crc;
	EVP_MD_CTX *sha256; /* NULL if not asked for, or done */
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

	EVP_MD_CTX_free(self->sha256);
	self->sha256 = NULL;
}

pg_noreturn static void
sha256_failed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute SHA-256: %s", openssl_reason())));
}

Sink *
meter_new(Sink *next, Meter *meter, bool with_crc, bool with_sha256)
{
	MeterSink *self = sink_stage_new(sizeof(MeterSink), &meter_ops, next);

	memset(meter, 0, sizeof(Meter));
	self->meter = meter;
	self->with_crc = with_crc;
	INIT_CRC32C(self->crc);
	if (with_sha256)
	{
		sink_guard(meter_release, self);
		self->sha256 = EVP_MD_CTX_new();
		if (self->sha256 == NULL ||
			EVP_DigestInit_ex(self->sha256, EVP_sha256(), NULL) != 1)
			sha256_failed();
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
	if (self->sha256 && EVP_DigestUpdate(self->sha256, data, len) != 1)
		sha256_failed();
	sink_write(sink->next, data, len);
}

static void
meter_finish(Sink *sink)
{
	MeterSink	*self = (MeterSink *) sink;
	unsigned int len = 0;

	if (self->with_crc)
	{
		FIN_CRC32C(self->crc);
		self->meter->crc = self->crc;
	}
	if (self->sha256)
	{
		if (EVP_DigestFinal_ex(self->sha256, self->meter->sha256, &len) != 1 ||
			len != SHA256_LEN)
			sha256_failed();
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
