# MilvusTest.pm: what the tests of collections of Milvus share: a table of documents
# with embeddings, large enough to be TOASTed, changes of all kinds, and the
# comparison of a collection with the table.
package MilvusTest;

use strict;
use warnings;

use ClientTest;
use Exporter qw(import);
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  docs_setup
  docs_fields
  start_docs_writer
  proxied_milvus_client
  call_milvus
  check_docs
);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# docs_setup(NODE, DOCUMENTS): a table docs, and a procedure that changes it; documents are
# those JSON texts
sub docs_setup
{
	my ($node, @documents) = @_;
	my $documents = join(', ', map { "'$_'" } @documents);

	$node->safe_psql('postgres', <<'EOC' =~ s/DOCUMENTS/$documents/r);
CREATE TABLE docs (id bigint PRIMARY KEY, n int NOT NULL, title text, price numeric(10,2), tags text[],
	doc jsonb, embedding real[]);
ALTER TABLE docs ALTER embedding SET STORAGE EXTERNAL;
CREATE SEQUENCE docs_tick;
CREATE FUNCTION new_embedding() RETURNS real[] LANGUAGE sql VOLATILE AS
	'SELECT array_agg((random() * 2 - 1)::real) FROM generate_series(1, 600)';
CREATE FUNCTION new_doc() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT (ARRAY[DOCUMENTS, NULL]::jsonb[])[1 + (random() * 6)::int] $$;
CREATE PROCEDURE work_docs(transactions int) LANGUAGE plpgsql AS $$
DECLARE
	k bigint;
BEGIN
	FOR i IN 1 .. transactions LOOP
		k := 1 + random() * 200;
		IF random() < 0.5 THEN
			INSERT INTO docs SELECT id, nextval('docs_tick'), 'title "' || id || E'"\\n', random() * 100,
				ARRAY['a', 'b''c'], new_doc(), new_embedding()
				FROM (SELECT DISTINCT (1 + random() * 200)::int AS id FROM generate_series(1, 1 + (random() * 8)::int)) AS s
				ON CONFLICT (id) DO UPDATE SET n = excluded.n, embedding = excluded.embedding;
		END IF;
		-- the embedding stays, and is not in the WAL
		UPDATE docs SET n = nextval('docs_tick'), title = 'changed', doc = new_doc() WHERE id BETWEEN k AND k + 4;
		IF random() < 0.3 THEN
			DELETE FROM docs WHERE id BETWEEN k + 2 AND k + 3;
		END IF;
		IF random() < 0.2 THEN
			UPDATE docs SET id = id + 1000, n = nextval('docs_tick'), embedding = new_embedding()
				WHERE id = k AND NOT EXISTS (SELECT 1 FROM docs WHERE id = k + 1000);
		END IF;
		IF random() < 0.02 THEN
			TRUNCATE docs;
		END IF;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
EOC
	return;
}

# docs_fields(): the collection's fields, as collections/describe shows them
sub docs_fields
{
	return [
		{ name => 'id', type => 'Int64', primaryKey => JSON::PP::true, autoId => JSON::PP::false },
		{ name => 'n', type => 'Int32', primaryKey => JSON::PP::false },
		{ name => 'title', type => 'VarChar', primaryKey => JSON::PP::false, nullable => JSON::PP::true,
			params => [ { key => 'max_length', value => '500' } ] },
		{ name => 'price', type => 'Double', primaryKey => JSON::PP::false, nullable => JSON::PP::true },
		{ name => 'tags', type => 'Array', elementType => 'VarChar', primaryKey => JSON::PP::false,
			nullable => JSON::PP::true, params => [ { key => 'max_capacity', value => '10' }, { key => 'max_length', value => '100' } ] },
		{ name => 'doc', type => 'JSON', primaryKey => JSON::PP::false, nullable => JSON::PP::true },
		{ name => 'embedding', type => 'FloatVector', primaryKey => JSON::PP::false,
			params => [ { key => 'dim', value => '600' } ] },
	];
}

sub start_docs_writer
{
	my ($node, $transactions) = @_;
	my ($session) = start_psql($node, "CALL work_docs($transactions)");

	return $session;
}

# proxied_milvus_client(PLACE, LOG, ARGUMENT...): through the proxy that watches
sub proxied_milvus_client
{
	my ($place, $log, @more) = @_;

	return start_proxied_client($place, 'slot', $log, '--to=milvus://127.0.0.1:' . slurp_file("$place/milvus_port"), @more);
}

# call_milvus(PLACE, OPERATION, REQUEST): the data of the answer
sub call_milvus
{
	my ($place, $operation, $request) = @_;
	my $answer = HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default)->post(
		'http://127.0.0.1:' . slurp_file("$place/milvus_port") . "/v2/vectordb/$operation",
		{ content => $json->encode($request), headers => { 'Content-Type' => 'application/json' } });
	my $content = $json->decode($answer->{content});

	die "$operation: $answer->{content}" if $content->{code} != 0;
	return $content->{data};
}

# as both sides can be compared: floats of four bytes by their bytes
sub shown
{
	my ($row) = @_;
	my %row = %$row;

	$row{$_} = "$row{$_}" foreach qw(id n);
	$row{price} = sprintf('%.2f', $row{price}) if defined $row{price};
	$row{embedding} = unpack('H*', pack('f*', @{ $row{embedding} }));
	$row{doc} = $json->encode($row{doc}) if defined $row{doc};
	return $json->encode(\%row);
}

# check_docs(WHAT, NODE, PLACE): the collection is the table
sub check_docs
{
	my ($what, $node, $place) = @_;
	my %there = map { $_->{id} => shown($_) }
	  @{ call_milvus($place, 'entities/query', { collectionName => 'docs', filter => 'id > 0', outputFields => ['*'] }) };
	my %here = map { my $row = $json->decode($_); $row->{id} => shown($row) }
	  split(/\n/, $node->safe_psql('postgres', 'SET extra_float_digits = 1; SELECT row_to_json(docs) FROM docs'));
	my @differ = grep { ($there{$_} // '') ne ($here{$_} // '') } sort { $a <=> $b } keys %{ { %there, %here } };

	is(join(' ', @differ), '', "$what: the collection has the table's " . keys(%here) . ' rows')
	  or diag(map { substr("there: " . ($there{$_} // 'none'), 0, 400) . "\n" . substr("here: " . ($here{$_} // 'none'), 0, 400) . "\n" }
		  @differ[ 0 .. ($#differ > 2 ? 2 : $#differ) ]);
	return;
}

1;
