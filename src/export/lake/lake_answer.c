/*
 * lake_answer.c
 *		What a catalog answers, as JSON.
 *
 * An answer may hold secrets, a token above all; so nothing of one that is no
 * JSON is shown, as jsonb_in() would do.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "export/lake/lake_catalog.h"
#include "export/lake/lake_table.h"

Jsonb *
lake_catalog_answer(const Catalog *rest, const CatalogCall *call)
{
	MemoryContext caller = CurrentMemoryContext;
	Jsonb *volatile answer = NULL;

	PG_TRY();
	{
		answer = lake_json_parse(call->answer, call->answer_len);
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	if (answer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("server \"%s\" gave an answer that cannot be used",
						rest->name),
				 errdetail("It is not JSON."),
				 errhint("Check the server's options uri and oauth2_uri.")));
	return answer;
}

/*
 * A text of an answer that is secret: nothing else of it stays.  What the parser
 * has let go on its way is beyond reach.
 */
char *
lake_catalog_secret(const Catalog *rest, CatalogCall *call, const char *name)
{
	Jsonb *answer = lake_catalog_answer(rest, call);
	char  *secret = lake_json_text(answer, name);

	OPENSSL_cleanse(answer, VARSIZE(answer));
	pfree(answer);
	server_forget_secret(&call->answer);
	return secret;
}
