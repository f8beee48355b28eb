/*
 * crc64.h
 *		CRC-64/NVME, which S3 calls CRC64NVME.
 */
#ifndef OUTFLOW_CRC64_H
#define OUTFLOW_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Of crc's bytes and these; begins with 0. */
extern uint64_t crc64nvme(uint64_t crc, const void *data, size_t len);
/* That of two texts, the second of which has so many bytes, after each other. */
extern uint64_t crc64nvme_join(uint64_t first, uint64_t second,
							   uint64_t second_len);

#endif /* OUTFLOW_CRC64_H */
