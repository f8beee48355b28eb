# Promise: an Iceberg table, or what a manifest refers to, is never where other programs
# would not find it by the path that they read. That is refused at the call.
use strict;
use warnings;

use File::Path qw(make_path);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('told', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my %databases = (LATIN1 => 'latin1', SQL_ASCII => 'ascii', UTF8 => 'postgres');

# export(ENCODING, PLACE, ARGUMENTS): the job's number, or the error
sub export
{
	my ($encoding, $place, $arguments) = @_;
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	my ($out, $err);
	my $status = $node->psql($databases{$encoding}, "CALL outflow.export('t', 'file://$dir/$place'" . ($arguments ? ", $arguments" : '') . ')',
		stdout => \$out, stderr => \$err);

	return $status ? $err : $out;
}

foreach my $encoding (sort keys %databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $databases{$encoding} ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	  if $encoding ne 'UTF8';
	$node->safe_psql($databases{$encoding}, 'CREATE EXTENSION outflow') if $encoding ne 'UTF8';
	$node->safe_psql($databases{$encoding}, 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 10) AS i');
}
make_path("$dir/bytes\xe9", "$dir/hash#");
symlink "$dir/bytes\xe9", "$dir/to-bytes" or die;
symlink "$dir/hash#", "$dir/to-hash" or die;

# ---- Iceberg
foreach my $encoding (sort keys %databases)
{
	my $not_found = qr/ERROR:  other programs would not find the files in ".*\nDETAIL:  .*"$encoding"\.\nHINT:  Choose a directory whose path is ASCII\./;
	my $no_uri = qr/ERROR:  an Iceberg table cannot be in ".*\nDETAIL:.*\nHINT:  Choose a directory whose path has no "#"/s;

	foreach my $case (
		[ "$encoding/\xc3\xa9", $encoding eq 'LATIN1' ? $not_found : qr/^\d+$/ ],
		[ "$encoding/\xc3\xa9/x", $encoding eq 'LATIN1' ? $not_found : qr/^\d+$/ ],
		[ "to-bytes/$encoding", $not_found ],
		[ "$encoding/a#b", $no_uri ],
		[ "$encoding/a?b/c", $no_uri ],
		[ "$encoding/a\tb", $no_uri ],
		[ "$encoding/a\nb", $no_uri ],
		[ "$encoding/a\x7fb", $no_uri ],
		[ "to-hash/$encoding", $no_uri ],
		[ "$encoding/a b%20&c+d", qr/^\d+$/ ])
	{
		my $shown = $case->[0] =~ s/([^ -~])/sprintf('\\x%02x', ord $1)/ger;

		foreach my $workers ($case->[1] eq $not_found ? (0, 1) : 0)
		{
			like(export($encoding, $case->[0], "format => 'iceberg', workers => $workers"), $case->[1], "$encoding: Iceberg in $shown, with $workers workers");
		}
		next if $case->[1] eq qr/^\d+$/ || $case->[0] =~ /^to-/;
		ok(!-e "$dir/$case->[0]", '... made nothing there');
	}
	like(export($encoding, "$encoding/delta#\xc3\xa9", q(format => 'delta')), qr/^\d+$/, "$encoding: a Delta table's paths begin in its folder");
}

# ---- what a manifest refers to
foreach my $encoding (sort keys %databases)
{
	foreach my $name ("b\xc3\xa9", 'b#')
	{
		my $base = export($encoding, "$encoding/base/$name");
		my $said;

		like($base, qr/^\d+$/, "$encoding: a base") or next;
		$said = export($encoding, "$encoding/$name-2", qq(base => $base, options => '{"carry": "reference"}'));
		if ($encoding ne 'LATIN1' || $name eq 'b#')
		{
			like($said, qr/^\d+$/, '... that can be referred to');
			like(export($encoding, "$encoding/$name-3", qq(base => $said, options => '{"carry": "reference"}')), qr/^\d+$/, '... again');
		}
		else
		{
			like($said, qr/other programs would not find the files in /, '... that cannot be referred to');
			like(export($encoding, "$encoding/$name-2", "base => $base"), qr/^\d+$/, '... but linked');
		}
	}
}

$node->stop;
done_testing();
