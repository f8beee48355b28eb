# Promise: requests to S3 stores are signed as Amazon's own examples are, no
# address within the server's reach alone is taken for a public one, and an
# answer's XML is read for what it is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;

my $node = new_sink_node('s3');
my $empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

sub array { return 'ARRAY[' . join(', ', map { "'" . s/'/''/gr . "'" } @_) . ']::text[]'; }

# sign(METHOD, PATH, [QUERY], [HEADERS], BODY, REST...): target and signature
sub sign
{
	my ($method, $path, $query, $headers, $body, @rest) = @_;

	return $node->safe_psql('postgres',
		"SELECT sink.s3_sign('$method', '$path', " . array(@$query) . ', '
		  . array(@$headers) . ", '$body', " . join(', ', map { "'$_'" } @rest) . ')');
}

# "Signature Calculations for the Authorization Header", API reference of S3
my @s3 = ('20130524T000000Z', 'us-east-1', 's3', 'AKIAIOSFODNN7EXAMPLE',
	'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY');
my @host = (host => 'examplebucket.s3.amazonaws.com');
my @usual = (@host, 'x-amz-content-sha256' => $empty, 'x-amz-date' => $s3[0]);
my $body_hash = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072';

like(sign('GET', '/test.txt', [], [ @usual, range => 'bytes=0-9' ], '', @s3),
	qr{^/test\.txt\? AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41$},
	'GET of an object');
like(
	sign('PUT', '/test$file.text', [],
		[ @host, 'x-amz-content-sha256' => $body_hash, 'x-amz-date' => $s3[0],
			date => 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class' => 'REDUCED_REDUNDANCY' ],
		'Welcome to Amazon S3.', @s3),
	qr{^/test%24file\.text\?.*Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd$},
	'PUT of an object');
like(sign('GET', '/', [ lifecycle => '' ], \@usual, '', @s3),
	qr{^/\?lifecycle= .*Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543$},
	'GET of a bucket\'s lifecycle');
like(sign('GET', '/', [ prefix => 'J', 'max-keys' => 2 ], \@usual, '', @s3),
	qr{^/\?max-keys=2&prefix=J .*Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7$},
	'GET of a bucket\'s list');

# AWS Signature Version 4 test suite
my @suite = ('20150830T123600Z', 'us-east-1', 'service', 'AKIDEXAMPLE',
	'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');
my @plain = (host => 'example.amazonaws.com', 'x-amz-date' => $suite[0]);
my %vectors = (
	'get-vanilla' =>
	  [ [ 'GET', '/', [], \@plain, '' ], '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31' ],
	'get-vanilla-query-order-key-case' => [
		[ 'GET', '/', [ Param2 => 'value2', Param1 => 'value1' ], \@plain, '' ],
		'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500' ],
	'post-vanilla' =>
	  [ [ 'POST', '/', [], \@plain, '' ], '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b' ],
	'get-header-value-trim' => [
		[ 'GET', '/', [], [ @plain, 'my-header1' => ' value1', 'my-header2' => ' "a   b   c"' ], '' ],
		'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736' ],
	'get-unreserved' => [
		[ 'GET', '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', [], \@plain, '' ],
		'07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f' ]);
foreach my $name (sort keys %vectors)
{
	my ($request, $signature) = @{ $vectors{$name} };

	like(sign(@$request, @suite), qr/Signature=$signature$/, $name);
}

# what is sent is encoded once, names and values alike, and sorted by bytes
like(sign('GET', '/a b/c+d=e%/é', [ b => '2', a => 'x y', a => 'x/', 'a-b' => '' ], \@plain, '', @suite),
	qr{^/a%20b/c%2Bd%3De%25/%C3%A9\?a=x%20y&a=x%2F&a-b=&b=2 }, 'path and query');

my %addresses = (
	'8.8.8.8' => 'a public', '52.216.1.1' => 'a public', '2600:1f18::1' => 'a public',
	'172.15.0.1' => 'a public', '172.32.0.1' => 'a public', '100.128.0.1' => 'a public',
	'127.0.0.1' => 'a loopback ?', '127.9.9.9' => 'a loopback ?', '::1' => 'a loopback ?',
	'::ffff:127.0.0.1' => 'a loopback ?',
	'10.0.0.1' => 'a private ?', '172.16.0.1' => 'a private ?', '172.31.255.255' => 'a private ?',
	'192.168.1.1' => 'a private ?', '100.64.0.1' => 'a private ?', 'fd12::1' => 'a private ?', 'fd00:42::1' => 'a private ?',
	'::ffff:10.1.2.3' => 'a private ?', '64:ff9b::a00:1' => 'a private ?', '2002:a00:1::1' => 'a private ?',
	'169.254.169.254' => 'a cloud\'s metadata !', '::ffff:169.254.169.254' => 'a cloud\'s metadata !',
	'64:ff9b::a9fe:a9fe' => 'a cloud\'s metadata !', 'fd00:ec2::254' => 'a cloud\'s metadata !',
	'fd20:ce::254' => 'a cloud\'s metadata !', 'fd00:c1::a9fe:a9fe' => 'a cloud\'s metadata !',
	'fd00:42::42' => 'a cloud\'s metadata !',
	'100.100.100.200' => 'a cloud\'s metadata !', '169.254.170.2' => 'a cloud\'s metadata !',
	'169.254.1.1' => 'a link-local !', 'fe80::1' => 'a link-local !',
	'0.0.0.0' => 'a reserved !', '0.1.2.3' => 'a reserved !', '::' => 'a reserved !', '224.0.0.1' => 'a reserved !',
	'255.255.255.255' => 'a reserved !', 'ff02::1' => 'a reserved !', '::7f00:1' => 'a reserved !',
	'192.0.2.1' => 'a reserved !', '198.19.0.1' => 'a reserved !');
foreach my $address (sort keys %addresses)
{
	is($node->safe_psql('postgres', "SELECT sink.s3_address('$address')"), $addresses{$address}, $address);
}

my %xml = (
	'<a><Code>x</Code></a>' => 'x',
	'<a><Code/></a>' => '',
	'<a><Codes>y</Codes><Code a="b">x</Code></a>' => 'x',
	'<Code>a&amp;b&lt;&gt;&quot;&apos;&#65;&#x42;</Code>' => 'a&b<>"\'AB',
	'<Code>&unknown; &#0;&</Code>' => '&unknown; &',
	'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Code>&e;</Code>' => '&e;',
	'<Code>no end' => 'NULL',
	'<Code' => 'NULL',
	'' => 'NULL');
foreach my $xml (sort keys %xml)
{
	is( $node->safe_psql('postgres', 'SELECT coalesce(sink.s3_xml($x$' . $xml . '$x$, \'Code\'), \'NULL\')'),
		$xml{$xml}, $xml);
}

$node->stop;
done_testing();
