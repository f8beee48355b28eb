/*
 * validity_module.c
 *		Stamps and the validity rules as SQL functions, rule by rule and with
 *		rules switched off, for the tests that attack them.
 *
 * validity.sql in this folder declares the functions.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "export/proof/validity.h"

PG_MODULE_MAGIC_EXT(.name = "outflow_validity", .version = "1.0");

PG_FUNCTION_INFO_V1(validity_scan);
PG_FUNCTION_INFO_V1(validity_finish);
PG_FUNCTION_INFO_V1(validity_finish_carelessly);
PG_FUNCTION_INFO_V1(validity_check_stamp);
PG_FUNCTION_INFO_V1(validity_check_page_rules);
PG_FUNCTION_INFO_V1(validity_check_digest);
PG_FUNCTION_INFO_V1(validity_switch_off);
PG_FUNCTION_INFO_V1(validity_signature);
PG_FUNCTION_INFO_V1(validity_extend);

extern PGDLLEXPORT Datum validity_scan(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_finish(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_finish_carelessly(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_check_stamp(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_check_page_rules(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_check_digest(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_switch_off(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_signature(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum validity_extend(PG_FUNCTION_ARGS);

static const struct
{
	const char	*name;
	ValidityRule rule;
} rules[] = {{"zero_page", RULE_ZERO_PAGE},
			 {"lsn", RULE_LSN},
			 {"xmin", RULE_XMIN},
			 {"xmax", RULE_XMAX},
			 {"multixact", RULE_MULTIXACT},
			 {"range", RULE_RANGE},
			 {"all_visible", RULE_ALL_VISIBLE},
			 {"digest_xmin", RULE_DIGEST_XMIN},
			 {"digest_rows", RULE_DIGEST_ROWS},
			 {"digest_hash", RULE_DIGEST_HASH}};

/*
 * The first half of a part: begins its stamp and scans its blocks under the
 * active snapshot.  The LSN is still missing.
 */
Datum
validity_scan(PG_FUNCTION_ARGS)
{
	Relation	rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
	BlockNumber first = (BlockNumber) PG_GETARG_INT64(1);
	BlockNumber end = (BlockNumber) PG_GETARG_INT64(2);
	Signature	signature;
	Stamp		stamp;

	signature_of(&signature, rel, NULL, NULL, "");
	stamp_begin(&stamp, rel, first, end, GetActiveSnapshot(), &signature);
	digest_range(&stamp.digest, rel, first, end, GetActiveSnapshot(), 0);
	relation_close(rel, NoLock);
	PG_RETURN_TEXT_P(cstring_to_text(stamp_to_text(&stamp)));
}

/* The second half, as it must be: with the snapshot still held. */
Datum
validity_finish(PG_FUNCTION_ARGS)
{
	Stamp  stamp;
	Digest digest;

	stamp_from_text(&stamp, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	digest = stamp.digest;
	if (!stamp_end(&stamp, &digest))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(stamp_to_text(&stamp)));
}

/* The second half, as it must not be: whoever holds the snapshot. */
Datum
validity_finish_carelessly(PG_FUNCTION_ARGS)
{
	Stamp stamp;

	stamp_from_text(&stamp, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	stamp.lsn = GetXLogInsertRecPtr();
	stamp.has_digest = true;
	PG_RETURN_TEXT_P(cstring_to_text(stamp_to_text(&stamp)));
}

/* The whole check under the active snapshot. */
Datum
validity_check_stamp(PG_FUNCTION_ARGS)
{
	Stamp		   stamp;
	Signature	   signature;
	ValidityDetail detail;
	Verdict		   verdict;
	Relation	   rel;
	TupleDesc	   desc;
	Datum		   values[4];
	bool		   nulls[4] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	stamp_from_text(&stamp, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	rel = relation_open(stamp.relation, AccessShareLock);
	signature_of(&signature, rel, NULL, NULL, "");
	verdict =
		validity_check(&stamp, rel, GetActiveSnapshot(), &signature, &detail);
	relation_close(rel, NoLock);

	values[0] = BoolGetDatum(verdict_is_valid(verdict));
	values[1] = CStringGetTextDatum(verdict_reason(verdict));
	nulls[2] = detail.rule == NULL;
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(detail.rule);
	values[3] = Int64GetDatum(detail.blocks_read);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* The page rules alone. */
Datum
validity_check_page_rules(PG_FUNCTION_ARGS)
{
	Stamp		   stamp;
	ValidityDetail detail = {0};
	Relation	   rel;
	bool		   valid;

	stamp_from_text(&stamp, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	rel = relation_open(stamp.relation, AccessShareLock);
	valid = validity_check_pages(&stamp, rel, &detail);
	relation_close(rel, NoLock);
	PG_RETURN_BOOL(valid);
}

/* The digest alone. */
Datum
validity_check_digest(PG_FUNCTION_ARGS)
{
	Stamp	 stamp;
	Relation rel;
	bool	 valid;

	stamp_from_text(&stamp, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	rel = relation_open(stamp.relation, AccessShareLock);
	valid = validity_check_rows(&stamp, rel, GetActiveSnapshot());
	relation_close(rel, NoLock);
	PG_RETURN_BOOL(valid);
}

/* Switches off the named rules, and all others on, in this session. */
Datum
validity_switch_off(PG_FUNCTION_ARGS)
{
	Datum *names;
	int	   count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, NULL, &count);
	validity_mutant = 0;
	for (int i = 0; i < count; i++)
	{
		char *name = TextDatumGetCString(names[i]);
		int	  rule;

		for (rule = 0; rule < lengthof(rules); rule++)
			if (strcmp(rules[rule].name, name) == 0)
				break;
		if (rule == lengthof(rules))
			elog(ERROR, "unknown rule \"%s\"", name);
		validity_mutant |= rules[rule].rule;
	}
	PG_RETURN_VOID();
}

/* The signature in hex, or why there is none. */
Datum
validity_signature(PG_FUNCTION_ARGS)
{
	Relation	   rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
	char		  *output = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Signature	   signature;
	const char	  *trouble;
	StringInfoData hex;

	trouble = signature_of(&signature, rel, NULL, NULL, output);
	relation_close(rel, AccessShareLock);
	if (trouble != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(trouble));
	initStringInfo(&hex);
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		appendStringInfo(&hex, "%02x", signature.bytes[i]);
	PG_RETURN_TEXT_P(cstring_to_text(hex.data));
}

/*
 * Adds blocks of zeroes at a table's end, as bulk loads do that extend ahead of
 * what they write.
 */
Datum
validity_extend(PG_FUNCTION_ARGS)
{
	Relation rel = relation_open(PG_GETARG_OID(0), RowExclusiveLock);
	int32	 count = PG_GETARG_INT32(1);

	for (int32 i = 0; i < count; i++)
	{
		LockRelationForExtension(rel, ExclusiveLock);
		ReleaseBuffer(ReadBuffer(rel, P_NEW));
		UnlockRelationForExtension(rel, ExclusiveLock);
	}
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}
