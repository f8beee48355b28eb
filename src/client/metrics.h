/*
 * metrics.h
 *		What can be watched: GET /metrics for Prometheus, GET /healthz.
 */
#ifndef CLIENT_METRICS_H
#define CLIENT_METRICS_H

#include "client/delivery.h"
#include "client/upstream.h"

/* address is [HOST:]PORT; NULL: no one watches. */
extern void metrics_open(const char *address, const Delivery *delivery,
						 const Upstream *upstream);

#endif
