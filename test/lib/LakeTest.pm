# LakeTest.pm: what the tests of lake tables share.
#
# The oracle is the table itself, kept aside as JSON when a version was made.
package LakeTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use HTTP::Tiny ();
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  delta_version
  delta_actions
  files_of_versions
  iceberg_files
  iceberg_manifests
  iceberg_metadata
  iceberg_number
  iceberg_returned
  iceberg_snapshot
  iceberg_specs
  lake_files
  lake_last
  lake_orders
  lake_rows
  keep_rows
  run_sql
  versions_are
  what_is_read
  write_iceberg_metadata
);

my $checks = dirname(__FILE__) . '/lake';

# run_sql(NODE, SQL, DATABASE): what it says, be that an answer, a notice or an error
sub run_sql
{
	my ($node, $sql, $database) = @_;
	my ($out, $err);

	$node->psql($database || 'postgres', $sql, stdout => \$out, stderr => \$err);
	return "$out$err";
}

# lake_last(TABLE): the number of its last version, from 0 on; -1 for none
sub lake_last
{
	my ($table) = @_;
	my @versions = map { /(\d{20})\.json$/ ? $1 + 0 : () } glob("$table/_delta_log/*.json");
	my @metadata = glob("$table/metadata/v*.json");

	return (iceberg_metadata($table)->{'last-sequence-number'} // 0) - 1 if $ENV{LAKE_CATALOG};
	return iceberg_metadata($table)->{'last-sequence-number'} - 1 if @metadata;
	return @versions ? (sort { $b <=> $a } @versions)[0] : -1;
}

# iceberg_metadata(TABLE): the last one, decoded; what a catalog has with
# LAKE_CATALOG="URI NAMESPACE TABLE", {} for none
sub iceberg_metadata
{
	my ($table) = @_;

	if ($ENV{LAKE_CATALOG})
	{
		my ($uri, $namespace, $name) = split(/ /, $ENV{LAKE_CATALOG});
		my $answer = HTTP::Tiny->new->get("$uri/v1/namespaces/$namespace/tables/$name");

		die "the catalog: $answer->{status} $answer->{content}" if $answer->{status} !~ /^(200|404)$/;
		return $answer->{success} ? JSON::PP::decode_json($answer->{content})->{metadata} : {};
	}
	my @numbers = map { m{/v(\d+)\.metadata\.json$} ? $1 : () } glob("$table/metadata/v*.json");

	return JSON::PP::decode_json(slurp_file("$table/metadata/v" . (sort { $b <=> $a } @numbers)[0] . '.metadata.json'));
}

# write_iceberg_metadata(TABLE, CHANGE): the next one, made of the last
sub write_iceberg_metadata
{
	my ($table, $change) = @_;
	my $metadata = iceberg_metadata($table);

	$change->($metadata);
	append_to_file("$table/metadata/v" . (iceberg_number($table) + 1) . '.metadata.json', JSON::PP::encode_json($metadata));
	return;
}

# iceberg_number(TABLE): of its last metadata
sub iceberg_number
{
	my ($table) = @_;

	return (sort { $b <=> $a } map { m{/v(\d+)\.metadata\.json$} ? $1 : () } glob("$table/metadata/v*.json"))[0];
}

# avro([URI...], WHAT...): fields of the records of all these files, once each
sub avro
{
	my ($uris, @what) = @_;
	my ($out, $err) = ('', '');
	my @files = map { s{^file://}{}r } @$uris;

	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, '-c', <<'EOP', @what ], '<', \join("\n", @files), '>', \$out, '2>', \$err) or die $err;
import fastavro, sys
found = {}
for file in sys.stdin.read().splitlines():
    for record in fastavro.reader(open(file, 'rb')):
        value = record
        if record.get('status') == 2:
            continue
        for name in sys.argv[1:]:
            value = value[name]
        found[value] = True
for value in found:
    print(value)
EOP
	return split(/\n/, $out);
}

# iceberg_files(TABLE, VERSION...): the URIs of the files that it has, or that they have
sub iceberg_files
{
	my ($table, @versions) = @_;
	my %wanted = map { $_ + 1 => 1 } @versions;
	my @lists = map { $_->{'manifest-list'} } grep { $wanted{ $_->{'sequence-number'} } } @{ iceberg_metadata($table)->{snapshots} };

	return avro([ avro(\@lists, 'manifest_path') ], 'data_file', 'file_path');
}

# iceberg_returned(TABLE): the paths of files that a snapshot has deleted and a later one
# has all the same: whoever expires the first one removes them from under the second
sub iceberg_returned
{
	my ($table) = @_;
	my @snapshots = sort { $a->{'sequence-number'} <=> $b->{'sequence-number'} } @{ iceberg_metadata($table)->{snapshots} };
	my ($out, $err) = ('', '');

	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, '-c', <<'EOP', map { $_->{'manifest-list'} } @snapshots ], '>', \$out, '2>', \$err) or die $err;
import fastavro, sys
path = lambda uri: uri.removeprefix('file://')
deleted = set()
for uri in sys.argv[1:]:
    entries = [entry for manifest in fastavro.reader(open(path(uri), 'rb'))
               for entry in fastavro.reader(open(path(manifest['manifest_path']), 'rb'))]
    for entry in entries:
        if entry['status'] != 2 and entry['data_file']['file_path'] in deleted:
            print(entry['data_file']['file_path'])
    deleted |= {entry['data_file']['file_path'] for entry in entries if entry['status'] == 2}
EOP
	return split(/\n/, $out);
}

# iceberg_manifests(TABLE): the names of all manifests and lists that versions have
sub iceberg_manifests
{
	my ($table) = @_;
	my @lists = map { $_->{'manifest-list'} } @{ iceberg_metadata($table)->{snapshots} };
	my %names = map { m{([^/]+)$} ? ($1 => 1) : () } @lists, avro(\@lists, 'manifest_path');

	return keys %names;
}

# iceberg_specs(TABLE): of the last version's manifests, the partition spec that the list
# has them under, and the one that they say themselves, once each
sub iceberg_specs
{
	my ($table) = @_;
	my $list = (sort { $a->{'sequence-number'} <=> $b->{'sequence-number'} } @{ iceberg_metadata($table)->{snapshots} })[-1]{'manifest-list'};
	my ($out, $err) = ('', '');

	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, '-c', <<'EOP', $list ], '>', \$out, '2>', \$err) or die $err;
import fastavro, sys
path = lambda uri: uri.removeprefix('file://')
for manifest in fastavro.reader(open(path(sys.argv[1]), 'rb')):
    said = fastavro.reader(open(path(manifest['manifest_path']), 'rb')).metadata
    print(manifest['partition_spec_id'], said['partition-spec-id'], said['partition-spec'])
EOP
	my %seen = map { $_ => 1 } split(/\n/, $out);

	return sort keys %seen;
}

# iceberg_snapshot(TABLE, VERSION): as the metadata has it, of versions from 0 on
sub iceberg_snapshot
{
	my ($table, $version) = @_;

	return (grep { $_->{'sequence-number'} == $version + 1 } @{ iceberg_metadata($table)->{snapshots} })[0];
}

# delta_actions(TABLE, VERSION): its actions, decoded
sub delta_actions
{
	my ($table, $version) = @_;

	return map { JSON::PP::decode_json($_) }
	  split(/\n/, slurp_file(sprintf('%s/_delta_log/%020d.json', $table, $version)));
}

# delta_version(TABLE, VERSION): {add => [...], remove => [...], ...}
sub delta_version
{
	my ($table, $version) = @_;
	my %found = (add => [], remove => []);

	foreach my $action (delta_actions($table, $version))
	{
		my ($kind) = keys %$action;

		push @{ $found{$kind} }, $action->{$kind};
	}
	return \%found;
}

# files_of_versions(TABLE): the names of those that its versions have, sorted
sub files_of_versions
{
	my ($table) = @_;
	my @versions = (0 .. lake_last($table)) or return;
	my @paths = -e "$table/_delta_log" ? map { $_->{path} } map { @{ delta_version($table, $_)->{add} } } @versions
	  : iceberg_files($table, @versions);
	my %names = map { m{([^/]+)$} ? ($1 => 1) : () } @paths;

	return sort keys %names;
}

# lake_files(TABLE): the data files in its directory
sub lake_files
{
	my ($table) = @_;

	return grep { /\.parquet$/ && !m{^_delta_log/} } files_below($table);
}

# keep_rows(NODE, QUERY, FILE): each row of it a JSON array of its columns
sub keep_rows
{
	my ($node, $query, $file) = @_;

	append_to_file($file,
		$node->safe_psql('postgres', "SET TimeZone = UTC; SET IntervalStyle = postgres; SELECT json_build_array($query") . "\n");
	return;
}

# checked(READER, TABLE, [VERSION...], PYTHON): what the program for the table says
sub checked
{
	my ($reader, $table, $versions, $python) = @_;
	my ($out, $err) = ('', '');

	$python //= $ENV{OUTFLOW_PYTHON}
	  // die "OUTFLOW_PYTHON is not set: run this test by test/run\n";
	my $check = -e "$table/_delta_log" ? 'check_delta.py' : 'check_iceberg.py';
	IPC::Run::run([ $python, "$checks/$check", $reader, $table, @$versions ], '>', \$out, '2>', \$err);
	chomp $out;
	return $out eq '' ? $err : $out;
}

# lake_rows(TABLE, VERSION): as the log or the metadata has them, each an array
sub lake_rows
{
	my ($table, $version) = @_;

	return map { JSON::PP::decode_json($_) } split(/\n/, checked('plain', $table, [$version]));
}

# lake_orders(TABLE, VERSION): of an Iceberg table's files in turn, each an array: its
# name, the sort order that it is told to be in, whether its rows are in the table's
# default one, whether the version has added it
sub lake_orders
{
	my ($table, $version) = @_;

	return map { JSON::PP::decode_json($_) } split(/\n/, checked('orders', $table, [$version]));
}

# what_is_read(READER, TABLE, DIRECTORY, [VERSION...], PYTHON): "ok", or what differs
# from the files of their numbers there, or the reader's error
sub what_is_read
{
	my ($reader, $table, $directory, $versions, $python) = @_;

	return checked($reader, $table, [ map { "$_=$directory/$_" } @$versions ], $python);
}

# versions_are(READER, TABLE, DIRECTORY, [VERSION...], NAME, PYTHON)
sub versions_are
{
	my ($reader, $table, $directory, $versions, $name, $python) = @_;

	is(what_is_read($reader, $table, $directory, $versions, $python), 'ok', $name);
	return;
}

1;
