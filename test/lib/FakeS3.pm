# FakeS3.pm: an S3 store on loopback that lies when it is told to: s3_fake.py.
package FakeS3;

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Time::HiRes ();

our @EXPORT = qw(start_fake_s3);

my @running;

# start_fake_s3(): one with an empty bucket "lake"
sub start_fake_s3
{
	my $self = bless { dir => PostgreSQL::Test::Utils::tempdir() }, __PACKAGE__;

	$self->{process} = IPC::Run::start(
		[ 'python3', "$FindBin::RealBin/../lib/s3_fake.py", $self->{dir} ],
		'<', \undef, '>>', "$self->{dir}/out", '2>>', "$self->{dir}/out");
	push @running, $self;
	foreach my $try (1 .. 600)
	{
		last if -s "$self->{dir}/port";
		Time::HiRes::sleep(0.1);
	}
	$self->{port} = slurp_file("$self->{dir}/port");
	return $self;
}

END
{
	my $status = $?;

	$_->{process}->kill_kill foreach @running;
	$? = $status;
}

# server_sql(NAME, OPTION => VALUE): that makes a server for it, and its mapping
sub server_sql
{
	my ($self, $name, %with) = @_;
	my %options = (
		endpoint => "http://127.0.0.1:$self->{port}", bucket => 'lake', allow_private => 'on', retries => 2,
		stall_timeout => 3, chunk_size => '5MB', %with);

	return
		"CREATE SERVER $name FOREIGN DATA WRAPPER outflow_s3 OPTIONS ("
	  . join(', ', map { "$_ '$options{$_}'" } sort keys %options) . '); '
	  . "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS"
	  . " (access_key_id 'test', secret_access_key 'secret-CANARY', session_token 'token-CANARY');";
}

# faults(LINE, ...): how it behaves from now on
sub faults
{
	my ($self, @lines) = @_;

	append_to_file("$self->{dir}/faults.new", join("\n", @lines));
	rename "$self->{dir}/faults.new", "$self->{dir}/faults" or die $!;
	return;
}

# s3(METHOD, TARGET, BODY): past the server; the answer's body
sub s3
{
	my ($self, $method, $target, $body) = @_;
	my ($out, $err);
	my @command = ('python3', '-c', <<'EOP', $self->{port}, $method, "/lake/$target", $body // '');
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
connection.request(sys.argv[2], sys.argv[3], sys.argv[4].encode())
print(connection.getresponse().read().decode(errors="backslashreplace"), end="")
EOP

	IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) or die $err;
	return $out;
}

# keys(PREFIX): what is there
sub keys
{
	my ($self, $prefix) = @_;
	my $token = '';
	my @keys;

	while (defined $token)
	{
		my $xml = $self->s3('GET', "?list-type=2&prefix=$prefix&continuation-token=$token");

		push @keys, $xml =~ m{<Key>(.*?)</Key>}g;
		($token) = $xml =~ m{<NextContinuationToken>(.+?)<};
	}
	return join(' ', @keys);
}

sub uploads
{
	my ($self) = @_;

	return join(' ', $self->s3('GET', '?uploads&prefix=') =~ m{<Key>(.*?)</Key>}g);
}

# content(PREFIX): of all parts below it
sub content
{
	my ($self, $prefix) = @_;

	return join('', map { $self->s3('GET', $_) } grep { m{/part-[^/]*$} } split(/ /, $self->keys($prefix)));
}

# requests(): what was asked of it
sub requests { return -e "$_[0]{dir}/log" ? slurp_file("$_[0]{dir}/log") : ''; }

# asked(PATTERN): how often that was, since the last forget_requests()
sub asked
{
	my ($self, $pattern) = @_;

	return scalar(grep { /$pattern/ } split(/\n/, substr($self->requests, $self->{seen} // 0)));
}

sub forget_requests
{
	my ($self) = @_;

	$self->{seen} = length($self->requests);
	return;
}

# headers(PATTERN): of objects with such a key, as a list of hashes
sub headers
{
	my ($self, $pattern) = @_;
	my @objects = map { JSON::PP::decode_json($_) } split(/\n/, slurp_file("$self->{dir}/headers"));

	return map { $_->[1] } grep { $_->[0] =~ /$pattern/ } @objects;
}

1;
