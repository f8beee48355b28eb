# Promise: what the stages write, the plain tools read back byte for byte, at
# every level and however the bytes come in; damaged input is an error.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;

my $node = new_sink_node('stages');
my $dir = new_export_dir() . '/out';
my %tool =
  (none => 'cat', gzip => 'gunzip -c', zstd => 'zstd -dcq', lz4 => 'lz4 -dcq');
my $number = 0;

# reads_back(COMPRESSION, COMMAND, TITLE, PARAMETERS): write, read with the
# tool and with our own decompressor
sub reads_back
{
	my ($compression, $title, %with) = @_;
	my $method = $compression =~ s/:.*//r;
	my $name = 'f' . ++$number;
	my $written = write_file($node, $dir, $name, %with,
		compression => $compression);
	my $stored = xxh128_of("cat $dir/$name");
	my $plain = sha256_of("$tool{$method} < $dir/$name");
	my $ours = $node->safe_psql('postgres',
		"SELECT sink.read_file('$dir', '$name', '$method')");

	is_deeply(
		[
			$stored, $plain, -s "$dir/$name", $ours
		],
		[
			@{$written}{qw(stored_xxh128 sha256 stored)},
			join(' ', @{$written}{qw(bytes crc sha256)})
		],
		"$compression: $title");
	return "$dir/$name";
}

foreach my $compression (
	qw(none gzip gzip:1 gzip:9 zstd zstd:-7 zstd:19 lz4 lz4:1 lz4:12))
{
	reads_back($compression, 'nothing', bytes => 0);
	reads_back($compression, 'one byte', bytes => 1);
	reads_back($compression, 'byte by byte',
		bytes => 70_000,
		max_chunk => 1);
	reads_back($compression, 'incompressible',
		kind => 'random',
		bytes => 3_000_000,
		max_chunk => 200_000);
	reads_back($compression, 'text in chunks of random size',
		bytes => 5_000_000,
		max_chunk => 9_000,
		seed => 7);
}
reads_back($_, '200 MB of zeros', kind => 'zero', bytes => 200_000_000)
  foreach qw(none gzip zstd lz4);

# a chain must not lose bytes around the size of its buffers
foreach my $bytes (map { ($_ - 1, $_, $_ + 1) } 65_536, 131_072, 524_288,
	1_048_576)
{
	reads_back($_, "$bytes bytes", kind => 'random', bytes => $bytes)
	  foreach qw(none lz4);
}

# slurp and spill, as bytes
sub content
{
	my ($file, $content) = @_;

	open(my $handle, defined $content ? '>:raw' : '<:raw', $file)
	  or die "could not open \"$file\": $!";
	if (defined $content)
	{
		print $handle $content;
		close($handle) or die "could not write \"$file\": $!";
		return;
	}
	local $/;
	return <$handle>;
}

# damaged(METHOD, CONTENT, TITLE): our reader must complain
sub damaged
{
	my ($method, $content, $title) = @_;

	content("$dir/damaged", $content);
	refused(
		$node,
		"sink.read_file('$dir', 'damaged', '$method')",
		qr/ERROR:  $method data is (damaged|incomplete)/,
		"$method: $title");
	return;
}

foreach my $method (qw(gzip zstd lz4))
{
	my $file = reads_back($method, 'to damage', bytes => 300_000);
	my $good = content($file);
	my $length = length($good);
	my $twice = write_file($node, $dir, 'twice', bytes => 300_000);

	damaged($method, '', 'empty file');
	damaged($method, substr($good, 0, $_), "cut at $_ of $length")
	  foreach (1, 5, 20, int($length / 2), $length - 4, $length - 1);
	foreach my $at (0, int($length / 3), $length - 2)
	{
		my $flipped = $good;

		substr($flipped, $at, 1) ^= "\x10";
		damaged($method, $flipped, "flipped bit at $at of $length");
	}
	damaged($method, $good . 'garbage', 'garbage after the end');
	damaged($method, 'plain text, nothing else', 'not compressed at all');

	content("$dir/two", $good . $good);
	is( $node->safe_psql('postgres',
			"SELECT split_part(sink.read_file('$dir', 'two', '$method'), ' ', 1)"
		),
		2 * $twice->{bytes},
		"$method: two files in a row are one stream");
}

# names of methods and their levels
my $hint = qr/none, gzip \(levels 1 to 9\), zstd \(levels -7 to 19\), lz4/;
foreach my $case (
	[ 'brotli', qr/unrecognized compression method "brotli".*$hint/s ],
	[ '', qr/unrecognized compression method "".*$hint/s ],
	[ 'snappy', qr/compression method "snappy" is for format "parquet" only/ ],
	[ 'zstd:20', qr/invalid level "20".*Valid levels are -7 to 19/s ],
	[ 'zstd:', qr/invalid level "" for compression method "zstd"/ ],
	[ 'gzip:0', qr/invalid level "0".*Valid levels are 1 to 9/s ],
	[ 'gzip:6x', qr/invalid level "6x"/ ],
	[ 'lz4:99999999999', qr/invalid level "99999999999"/ ],
	[ 'none:1', qr/compression method "none" takes no level/ ])
{
	refused(
		$node,
		"sink.write_file('', '', 'zero', 0, 0, 0, '$case->[0]', NULL, 'null')",
		$case->[1],
		"refuses compression \"$case->[0]\"");
}

# age: every recipient can read, nobody else
my (@identities, @recipients);
foreach my $who (0 .. 3)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . "/identity$who";

	system("age-keygen -o $file 2>/dev/null") == 0 or die 'age-keygen failed';
	push @identities, $file;
	push @recipients, qx{age-keygen -y $file} =~ s/\n//r;
}
my $stranger = $identities[3];

foreach my $bytes (0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000)
{
	my $written = write_file(
		$node, $dir, 'secret',
		bytes => $bytes,
		max_chunk => $bytes > 100_000 ? 150_000 : 0,
		recipients => [ @recipients[ 0 .. 2 ] ]);

	is(sha256_of("age -d -i $_ $dir/secret"),
		$written->{sha256}, "age: $bytes bytes, a recipient reads")
	  foreach @identities[ 0 .. 2 ];
	is(xxh128_of("cat $dir/secret"), $written->{stored_xxh128},
		"age: $bytes bytes, the sum of what is stored");
	ok(system("age -d -i $stranger $dir/secret >/dev/null 2>&1") != 0,
		"age: $bytes bytes, a stranger does not");
}
foreach my $method (qw(gzip zstd lz4))
{
	my $written = write_file(
		$node, $dir, "secret.$method",
		bytes => 2_000_000,
		compression => $method,
		recipients => [ $recipients[0] ]);

	is(sha256_of("age -d -i $identities[0] $dir/secret.$method | $tool{$method}"),
		$written->{sha256}, "age around $method");
}
isnt(
	write_file($node, $dir, 'one', recipients => [ $recipients[0] ])
	  ->{stored_xxh128},
	write_file($node, $dir, 'two', recipients => [ $recipients[0] ])
	  ->{stored_xxh128},
	'age: the same bytes never get the same key twice');

my $good = $recipients[0];
my $typo = $good =~ s/(.)(.)$/$2 eq 'q' ? "$1p" : "$1q"/er;
my $mixed = ucfirst($good);
my $short = substr($good, 0, -1);
my $secret = content($identities[0]) =~ /(AGE-SECRET-KEY-\S+)/ ? $1 : die;
foreach my $case (
	[ $typo, 'Its checksum does not match', 'a typing error' ],
	[ $mixed, 'It mixes upper and lower case', 'mixed case' ],
	[ uc($good), 'recipients are in lower case', 'upper case' ],
	[ $short, 'It has the wrong length', 'a lost character' ],
	[ "${good}q", 'It has the wrong length', 'one character more' ],
	[ $good =~ s/.$/b/r, 'a character that no recipient has', 'a bad character' ],
	[ 'age1', 'It has the wrong length', 'only the prefix' ],
	[ 'alice', 'It does not start with "age1"', 'no recipient' ],
	[ '', 'It does not start with "age1"', 'nothing' ],
	[
		'age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t',
		'It is not an X25519 recipient',
		'a plugin\'s recipient'
	],
	[ $secret, 'It is a secret key', 'a secret key' ],
	# the checksum is right, the point is of low order
	[
		'age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z',
		'failed during derivation',
		'a key that keeps no secret'
	],
	[
		'age1rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrp0dh56x',
		'Its unused bits are not zero',
		'a second spelling of a key'
	])
{
	my ($recipient, $detail, $title) = @$case;
	my ($code, $out, $err) = $node->psql('postgres',
		"SELECT sink.write_file('', '', 'zero', 0, 0, 0, 'none',"
		  . " ARRAY['$good', '$recipient'], 'null')");

	like($err, qr/age recipient at position 2.*$detail/s, "age refuses $title");
	unlike($err, qr/\Q$recipient\E/, "and does not repeat it")
	  if length($recipient) > 10;
}
refused(
	$node,
	"sink.write_file('', '', 'zero', 0, 0, 0, 'none', '{}', 'null')",
	qr/no age recipient to encrypt to/,
	'age needs a recipient');

# an error in the middle leaks neither memory nor descriptors, nor a file
my $leaks = $node->safe_psql('postgres', <<"EOQ");
CREATE FUNCTION memory() RETURNS bigint LANGUAGE sql AS \$\$
	SELECT (regexp_match(pg_read_file('/proc/self/status'),
		'VmSize:\\s+(\\d+)'))[1]::bigint
\$\$;
CREATE FUNCTION fail(rounds int) RETURNS int LANGUAGE plpgsql AS \$\$
DECLARE
	compression text;
	failed int := 0;
BEGIN
	FOR round IN 1 .. rounds LOOP
		FOREACH compression IN ARRAY '{gzip:9,zstd:19,lz4:12}'::text[] LOOP
			BEGIN
				PERFORM sink.write_file('$dir', 'leak', 'text', 300000, 0,
					round, compression, ARRAY['$good'], 'error');
			EXCEPTION WHEN internal_error THEN
				failed := failed + 1;
			END;
		END LOOP;
	END LOOP;
	RETURN failed;
END \$\$;
SELECT fail(5);
CREATE TEMP TABLE before AS SELECT memory() AS kb;
SELECT fail(30);
SELECT sink.open_files('$dir'), memory() - kb < 50000 FROM before;
EOQ
is($leaks, "15\n90\n0|t", 'errors leak neither memory nor descriptors');
is_deeply([ grep { /leak/ } files_below($dir) ], [], 'nor files');

$node->stop;
done_testing();
