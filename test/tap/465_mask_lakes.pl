# Promise: a version of a lake table that is made after a column was masked tells of no
# clear value, not even in what it says of the files of before, which leave it.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('mask_lakes');
my $dir = new_export_dir();
my $canary = qr/canary|918273645|36BBAE2D|\x36\xbb\xae\x2d|\x2d\xae\xbb\x36/;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# version(FORMAT): the files that the next version brings
sub version
{
	my ($format) = @_;
	my %before = map { $_ => 1 } files_below("$dir/$format");

	sql("CALL outflow.export('people', 'file://$dir/$format', format => '$format', compression => 'none')");
	return grep { !$before{$_} } files_below("$dir/$format");
}

# clear(FORMAT, FILES): those that tell of values
sub clear { my $format = shift; return grep { slurp_file("$dir/$format/$_") =~ $canary } @_; }

sql("CREATE TABLE people (id int PRIMARY KEY, mail text, pin int);"
	  . " INSERT INTO people SELECT g, 'canary-' || g, 918273645 FROM generate_series(1, 100) AS g");
my @formats = ('delta', 'iceberg');
isnt(scalar(clear($_, version($_))), 0, "$_: without masks there are clear values") foreach @formats;
sql(q{LOAD 'outflow'; ALTER SYSTEM SET outflow.mask_columns = 'public.people.mail=redact, public.people.pin=null'});
$node->restart;
foreach my $format (@formats)
{
	my @files = version($format);

	cmp_ok(scalar(@files), '>', 1, "$format: a version with masks");
	is(join(' ', clear($format, @files)), '', '... tells of none');
	sql('UPDATE people SET id = id');
	is(join(' ', clear($format, version($format))), '', '... nor does the next one');
	is(sql('SELECT DISTINCT status FROM outflow.verify((SELECT max(job) FROM outflow.jobs))'), 'ok', '... which is whole');
}
done_testing();
