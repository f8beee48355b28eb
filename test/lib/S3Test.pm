# S3Test.pm: real S3 servers on loopback, and what boto3 sees of them.
package S3Test;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET ();
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# a store that hangs is found out sooner
$ENV{PG_TEST_TIMEOUT_DEFAULT} //= 100;

our @EXPORT = qw(start_s3 stop_s3 kill_s3 restart_s3 s3_client s3_server_sql start_proxy set_faults);

my %starters = (
	versitygw => \&start_versitygw,
	seaweedfs => \&start_seaweedfs,
	moto => \&start_moto);
my @running;

sub tool
{
	die "OUTFLOW_S3 is not set: run this test by test/run\n" unless $ENV{OUTFLOW_S3};
	return "$ENV{OUTFLOW_S3}/bin/$_[0]";
}

# start_s3(KIND, tls => [CERTIFICATE, KEY]): a store with an empty bucket "lake";
# its endpoint, key, secret; with bare => 1 none, and nobody has asked it yet
sub start_s3
{
	my ($kind, %with) = @_;
	my $store = { %with, kind => $kind, bucket => 'lake', dir => File::Temp::tempdir(CLEANUP => 1) };

	$starters{$kind}->($store);
	wait_for_port($store);
	return $store if $store->{bare};
	(@$store{qw(key secret)}) = split(/ /, s3_client($store, 'iam')) if $kind eq 'moto';
	foreach my $try (1 .. 100)
	{
		last if eval { s3_client($store, 'make-bucket'); 1 };
		die $@ if $try == 100;
		sleep(0.3);
	}
	return $store;
}

sub launch
{
	my ($store, $environment, @command) = @_;
	my $log = "$store->{dir}/log";

	$store->{launched} = [ $environment, @command ];
	local %ENV = (%ENV, %$environment);
	$store->{process} = IPC::Run::start(\@command, '<', \'', '>', $log, '2>', "$log.err",
		init => sub { setpgrp(0, 0); chdir $store->{dir}; });
	push @running, $store;
	return;
}

sub wait_for_port
{
	my ($store) = @_;
	my ($port) = $store->{endpoint} =~ /:(\d+)$/;

	foreach my $try (1 .. 600)
	{
		my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);

		return if $socket;
		sleep(0.1);
	}
	die "$store->{kind} does not start: " . slurp_file("$store->{dir}/log.err");
}

# with domain => NAME, buckets may be in the host's name, before that
sub start_versitygw
{
	my ($store) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	mkdir "$store->{dir}/$_" foreach qw(data versions);
	@$store{qw(endpoint key secret)} = ("http://127.0.0.1:$port", 'test', 'testsecret-CANARY');
	$store->{endpoint} = "https://localhost:$port" if $store->{tls};
	launch($store, { ROOT_ACCESS_KEY => $store->{key}, ROOT_SECRET_KEY => $store->{secret} },
		tool('versitygw'), '--port', "127.0.0.1:$port", '--region', 'us-east-1',
		($store->{domain} ? ('--virtual-domain', "$store->{domain}:$port") : ()),
		($store->{tls} ? ('--cert', $store->{tls}[0], '--key', $store->{tls}[1]) : ()), 'posix',
		'--versioning-dir', "$store->{dir}/versions", "$store->{dir}/data");
	return;
}

# free_pairs(COUNT): ports below those that clients get, which with the ones 10000
# above them are free
sub free_pairs
{
	my ($count) = @_;
	my @ports;

	foreach my $try (0 .. 2000)
	{
		my $port = 20000 + ($$ * 37 + $try * 11) % 2700;

		next
		  if grep { !IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $_) }
		  ($port, $port + 10000);
		push @ports, $port;
		return @ports if @ports == $count;
	}
	die 'no free ports';
}

# each of its ports takes the one that is 10000 above it, too
sub start_seaweedfs
{
	my ($store) = @_;
	my ($master, $volume, $filer, $s3) = free_pairs(4);

	mkdir "$store->{dir}/data";
	@$store{qw(endpoint key secret)} = ("http://127.0.0.1:$s3", 'test', 'testsecret-CANARY');
	append_to_file("$store->{dir}/s3.json",
		'{"identities":[{"name":"test","credentials":[{"accessKey":"test",'
		  . "\"secretKey\":\"$store->{secret}\"}],"
		  . '"actions":["Admin","Read","Write","List","Tagging"]}]}');
	launch($store, {}, tool('weed'), '-logtostderr=true', 'server', '-dir=data', '-ip=127.0.0.1',
		'-ip.bind=127.0.0.1', "-master.port=$master", "-volume.port=$volume", '-filer=true',
		"-filer.port=$filer", '-s3', "-s3.port=$s3", '-s3.config=s3.json', '-volume.max=20',
		'-master.volumeSizeLimitMB=64');
	return;
}

# it asks for signatures after its first three requests, which make a user
sub start_moto
{
	my ($store) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	$store->{endpoint} = "http://127.0.0.1:$port";
	launch($store, { INITIAL_NO_AUTH_ACTION_COUNT => 3 }, tool('moto_server'), '-H', '127.0.0.1',
		'-p', $port);
	return;
}

sub stop_s3
{
	my ($store) = @_;

	return unless $store->{process};
	$store->{process}->kill_kill(grace => 3);
	delete $store->{process};
	return;
}

# kill_s3(STORE): as a crash does; restart_s3 has it back with what it holds
sub kill_s3
{
	my ($store) = @_;

	$store->{process}->signal('KILL');
	eval { $store->{process}->finish };
	return;
}

sub restart_s3
{
	my ($store) = @_;

	launch($store, @{ $store->{launched} });
	wait_for_port($store);
	return;
}

END
{
	my $status = $?;

	eval { stop_s3($_) } foreach @running;
	$? = $status;
}

# start_proxy(STORE): a store that is reached through s3_proxy.py; boto3 goes past it
sub start_proxy
{
	my ($store) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($upstream) = $store->{endpoint} =~ /:(\d+)$/;
	my $proxy = {
		%$store,
		kind => "proxy of $store->{kind}", direct => $store->{endpoint},
		endpoint => "http://127.0.0.1:$port", dir => File::Temp::tempdir(CLEANUP => 1) };

	launch($proxy, {}, tool('python'), dirname(__FILE__) . '/s3_proxy.py', $port, $upstream, $proxy->{dir});
	wait_for_port($proxy);
	return $proxy;
}

# set_faults(PROXY, TEXT): see s3_proxy.py
sub set_faults
{
	my ($proxy, $text) = @_;

	append_to_file("$proxy->{dir}/faults.new", $text);
	rename "$proxy->{dir}/faults.new", "$proxy->{dir}/faults" or die $!;
	return;
}

# s3_client(STORE, COMMAND, ...): what boto3 has to say
sub s3_client
{
	my ($store, @command) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (
		%ENV,
		S3_ENDPOINT => $store->{direct} // $store->{endpoint},
		S3_KEY => $store->{key} // 'x',
		S3_SECRET => $store->{secret} // 'x',
		S3_BUCKET => $store->{bucket},
		$store->{tls} ? (AWS_CA_BUNDLE => $store->{ca}) : ());
	IPC::Run::run([ tool('python'), dirname(__FILE__) . '/s3_client.py', @command ],
		'>', \$out, '2>', \$err)
	  or die "@command: $err";
	chomp $out;
	return $out;
}

# s3_server_sql(NAME, STORE, OPTION => VALUE): that makes server and mapping
sub s3_server_sql
{
	my ($name, $store, %options) = @_;

	%options = (
		endpoint => $store->{endpoint}, bucket => $store->{bucket}, allow_private => 'on',
		%options);
	return
		"CREATE SERVER $name FOREIGN DATA WRAPPER outflow_s3 OPTIONS ("
	  . join(', ', map { "$_ '$options{$_}'" } sort keys %options)
	  . "); CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS"
	  . " (access_key_id '$store->{key}', secret_access_key '$store->{secret}');";
}

1;
