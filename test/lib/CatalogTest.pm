# CatalogTest.pm: an Iceberg REST catalog on loopback, behind a proxy that fails when
# it is told to: see catalog_proxy.py.
package CatalogTest;

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Time::HiRes ();

our @EXPORT = qw(start_catalog);

my @running;

# begin(SELF, COMMAND...): a program, and the port that it says
sub begin
{
	my ($self, @command) = @_;
	my $out = "$self->{dir}/out" . scalar(@{ $self->{processes} });

	push @{ $self->{processes} }, IPC::Run::start(\@command, '<', \undef, '>', $out, '2>', "$out.err");
	foreach my $try (1 .. 1200)
	{
		return $1 if -e $out && slurp_file($out) =~ /^port (\d+)$/m;
		Time::HiRes::sleep(0.1);
	}
	die "$command[0] does not start: " . slurp_file("$out.err");
}

# start_catalog(JARS): one without namespaces: Apache Iceberg's own, of the directory
# of its jars, or without that one that lies when it is told to, catalog_fake.py
sub start_catalog
{
	my ($jars) = @_;
	my @fake = ('python3', "$FindBin::RealBin/../lib/catalog_fake.py");
	my $self = bless { dir => PostgreSQL::Test::Utils::tempdir(), processes => [] }, __PACKAGE__;

	push @running, $self;
	$self->{command} = !$jars ? [ @fake, $self->{dir} ] : [ 'java', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
		'-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', "$jars/*",
		"$FindBin::RealBin/../interop/iceberg_rest/RestCatalog.java", $self->{dir} ];
	$self->begin_upstream;
	$self->{port} = begin($self, 'python3', "$FindBin::RealBin/../lib/catalog_proxy.py", $self->{dir});
	return $self;
}

# begin_upstream(): the catalog itself, on what it has kept
sub begin_upstream
{
	my ($self) = @_;

	$self->{upstream} = begin($self, @{ $self->{command} });
	$self->{process} = $self->{processes}[-1];
	$self->set('upstream', "$self->{upstream} " . $self->{process}{KIDS}[0]{PID});
	return;
}

# revive(): it is there again, and nothing fails
sub revive
{
	my ($self) = @_;

	$self->set('go');
	$self->faults();
	$self->begin_upstream if !$self->lives;
	return;
}

# lives(): whether the catalog has not been killed
sub lives
{
	my ($self) = @_;
	my $stat = "/proc/$self->{process}{KIDS}[0]{PID}/stat";

	return -e $stat && slurp_file($stat) !~ /\) Z/;
}

END
{
	my $status = $?;

	foreach my $self (@running)
	{
		$_->kill_kill foreach @{ $self->{processes} };
	}
	$? = $status;
}

# server_sql(NAME, MAPPING, OPTION => VALUE): that makes a server for it, and a mapping
sub server_sql
{
	my ($self, $name, $mapping, %with) = @_;
	my %options = (uri => "http://127.0.0.1:$self->{port}", allow_private => 'on', retries => 2, stall_timeout => 20, %with);

	return
		"CREATE SERVER $name FOREIGN DATA WRAPPER outflow_iceberg OPTIONS ("
	  . join(', ', map { "$_ '$options{$_}'" } sort keys %options) . '); '
	  . "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS ($mapping);";
}

# set(FILE, TEXT): what the proxy reads; nothing without a text
sub set
{
	my ($self, $file, $text) = @_;

	unlink "$self->{dir}/$file";
	return if !defined $text;
	append_to_file("$self->{dir}/$file.new", $text);
	rename "$self->{dir}/$file.new", "$self->{dir}/$file" or die $!;
	return;
}

# faults(LINE...): how it behaves from now on; also begins a new log
sub faults
{
	my ($self, @lines) = @_;

	$self->set('log', '');
	$self->set('faults', join("\n", @lines));
	return;
}

# requests(PATTERN): lines of the log
sub requests
{
	my ($self, $pattern) = @_;

	return grep { $_ =~ $pattern } split(/\n/, slurp_file("$self->{dir}/log"));
}

# ask(METHOD, PATH, BODY): past the proxy; what it answers, decoded
sub ask
{
	my ($self, $method, $path, $body) = @_;
	my $answer = HTTP::Tiny->new->request($method, "http://127.0.0.1:$self->{upstream}/v1/$path",
		$body ? { content => JSON::PP::encode_json($body), headers => { 'content-type' => 'application/json' } } : {});

	return $answer->{content} ? JSON::PP::decode_json($answer->{content}) : {};
}

# set_ref(NAMESPACE, TABLE, NAME, SNAPSHOT): a tag; the branch "main" if it has no name
sub set_ref
{
	my ($self, $namespace, $table, $name, $snapshot, @updates) = @_;

	return $self->ask('POST', "namespaces/$namespace/tables/$table", { requirements => [],
		updates => [ @updates, { action => 'set-snapshot-ref', 'ref-name' => $name // 'main', type => $name ? 'tag' : 'branch', 'snapshot-id' => $snapshot } ] });
}

sub make_namespace
{
	my ($self, @names) = @_;

	return $self->ask('POST', 'namespaces', { namespace => \@names });
}

# snapshots(NAMESPACE, TABLE): of its metadata, in order
sub snapshots
{
	my ($self, $namespace, $table) = @_;
	my $metadata = $self->ask('GET', "namespaces/$namespace/tables/$table")->{metadata};

	return sort { $a->{'sequence-number'} <=> $b->{'sequence-number'} } @{ $metadata->{snapshots} };
}

1;
