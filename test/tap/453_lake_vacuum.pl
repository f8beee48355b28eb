# Promise: a vacuum removes only files that no version within retention has,
# whoever wrote the versions since.
use strict;
use warnings;

use JSON::PP;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $node = new_outflow_node('lake', conf => "autovacuum = off\n",
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $now = time() * 1000;
my $days = 86400 * 1000;

$node->safe_psql('postgres', "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) AS i");

sub version
{
	my ($name, $version) = @_;

	return "$dir/$name/_delta_log/" . sprintf('%020d.json', $version);
}

# new_table(NAME): made by an export; its only file, as the log has it
sub new_table
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/$name', format => 'delta')");
	my ($add) = map { decode_json($_)->{add} || () } split /\n/, slurp_file(version($name, 0));
	return $add;
}

# commit(NAME, VERSION, ACTIONS): another writer's
sub commit
{
	my ($name, $version, @actions) = @_;

	append_to_file(version($name, $version), join('', map { encode_json($_) . "\n" } @actions));
	return;
}

sub removal
{
	my ($add, $time) = @_;

	return { remove => { path => $add->{path}, dataChange => JSON::PP::true,
			defined $time ? (deletionTimestamp => $time) : () } };
}

# vacuum(NAME): what it removed, and its error
sub vacuum
{
	my ($name) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "SELECT file FROM outflow.lake_vacuum('file://$dir/$name')");

	return ($out, $err);
}

my $old = new_table('old');
commit('old', 1, removal($old, $now - 30 * $days));
is((vacuum('old'))[0], $old->{path}, 'a file that was removed long ago goes');

my $restored = new_table('restored');
commit('restored', 1, removal($restored, $now - 30 * $days));
commit('restored', 2, { add => $restored });
commit('restored', 3, removal($restored, $now - 3600 * 1000));
is((vacuum('restored'))[0], '', 'one that was restored, and removed an hour ago, stays');

my $undated = new_table('undated');
commit('undated', 1, { commitInfo => { timestamp => $now } }, removal($undated));
is((vacuum('undated'))[0], '', 'so does one that was removed without a time in a version of now');
my $silent = new_table('silent');
commit('silent', 1, removal($silent));
is((vacuum('silent'))[0], '', 'or in one that says no time at all');
my $long_ago = new_table('long_ago');
commit('long_ago', 1, removal($long_ago), { commitInfo => { timestamp => $now - 30 * $days } });
is((vacuum('long_ago'))[0], $long_ago->{path}, 'a version\'s own time counts, wherever it stands');

# the actions of a version have no order
my $both = new_table('both');
commit('both', 1, { add => $both }, removal($both, $now - 30 * $days));
is((vacuum('both'))[0], '', 'a file that one version adds and removes is in the table');
ok(-e "$dir/both/$both->{path}", '... and stays');

# nor is a table touched that has what we don't write
my $vector = new_table('vector');
commit('vector', 1, { add => { %$vector, deletionVector => { storageType => 'i', pathOrInlineDv => 'x', sizeInBytes => 40,
				cardinality => 6 } } }, removal($vector, $now - 30 * $days));
commit('vector', 2, removal($vector, $now - 30 * $days));
my ($removed, $error) = vacuum('vector');
is($removed, '', 'nothing of a table with deletion vectors is removed');
like($error, qr/has features that exports do not write/, '... and it is said');

# readers fold the case of all letters
isnt($node->psql('postgres', qq{CREATE TABLE fold ("\xc3\x89" int, "\xc3\xa9" int);
	CALL outflow.export('fold', 'file://$dir/fold', format => 'delta')}), 0,
	'names that differ in the case of other letters are refused');

# a file that was removed long ago, by versions that another program has cleaned up
sub overwrite { $node->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/cleaned', format => 'delta', workers => 0, options => '{\"overwrite\": true}', filter => 'i <> $_[0]')"); return; }
new_table('cleaned');
overwrite($_) foreach 1 .. 9;
foreach my $version (1 .. 9)
{
	my $text = slurp_file(version('cleaned', $version));

	replace_file(version('cleaned', $version), $text =~ s/("deletionTimestamp":)\d+/$1 . ($now - 30 * $days)/ger);
}
my @freed = sort map { /"remove":\{"path":"([^"]+)"/ ? $1 : () } map { split /\n/, slurp_file(version('cleaned', $_)) } 1 .. 9;
ok(unlink("$dir/cleaned/" . shift @freed), 'one of them is gone');
overwrite(10);
unlike(slurp_file("$dir/cleaned/_delta_log/_outflow_state"), qr/"remove":\{"path":"$_"/, 'what is gone is not kept for ever') foreach grep { !-e "$dir/cleaned/$_" } map { /"remove":\{"path":"([^"]+)"/ ? $1 : () } map { split /\n/, slurp_file(version('cleaned', $_)) } 1 .. 9;
unlink(map { version('cleaned', $_) } 0 .. 9);
is($node->safe_psql('postgres', "SELECT string_agg(file, ' ' ORDER BY file) FROM outflow.lake_vacuum('file://$dir/cleaned')"), join(' ', @freed), 'a vacuum still frees what cleaned up versions had removed');

$node->stop;
done_testing();
