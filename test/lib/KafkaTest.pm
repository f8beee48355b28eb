# KafkaTest.pm: a real Kafka broker, one node, on free ports of 127.0.0.1.
#
#	my $broker = KafkaTest->new;       # needs OUTFLOW_KAFKA, its jars
#	$broker->start; $broker->kill;     # the data stay
#	my @messages = $broker->messages('topic', 'isolation.level=read_committed');
#
# KafkaTest->new(key => FILE, cert => FILE) also listens with TLS, at secure_address(),
# to the user me with the password "secret@word" (SCRAM-SHA-512, PLAIN).
# KafkaTest->new(proxy => PORT) also listens at behind(), and tells who comes there
# that it is at PORT: so all requests go through a proxy that listens on PORT.
# start_wire() has such a proxy that watches what is confirmed.
# KafkaTest->new(auto_create => 1) makes topics that are written to.
# KafkaTest->new(lines => [ 'message.max.bytes=20000' ]) has these in its configuration.
package KafkaTest;

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Time::HiRes ();

sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;

	return $socket->sockport;
}

sub java
{
	return ('java', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', "$ENV{OUTFLOW_KAFKA}/*", @_);
}

sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		directory => File::Temp::tempdir('outflow_kafka_XXXXXX', TMPDIR => 1, CLEANUP => 1),
		port => free_port() }, $class;
	my $controller = free_port();
	my @format = ('--standalone');
	my ($listeners, $advertised, $more) = ('', '', join("\n", @{ $options{lines} || [] }, ''));
	my $create = $options{auto_create} ? 'true' : 'false';

	if ($options{cert})
	{
		$self->{secure} = free_port();
		$listeners .= ",SECURE://127.0.0.1:$self->{secure}";
		$advertised .= ",SECURE://127.0.0.1:$self->{secure}";
		write_keystore($self, $options{key}, $options{cert});
		push @format, '--add-scram', 'SCRAM-SHA-512=[name=me,password=secret@word]';
		$more .= <<"EOC";
ssl.keystore.type=PEM
ssl.keystore.location=$self->{directory}/keystore
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_me="secret\@word";
EOC
	}
	if ($options{proxy})
	{
		$self->{proxy} = $options{proxy};
		$self->{behind} = free_port();
		$listeners .= ",PROXIED://127.0.0.1:$self->{behind}";
		$advertised .= ",PROXIED://127.0.0.1:$options{proxy}";
	}
	my $conf = "$self->{directory}/server.properties";
	my $id = '';

	open(my $file, '>', $conf) or die;
	print $file <<"EOC";
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$self->{port},CONTROLLER://127.0.0.1:$controller$listeners
advertised.listeners=PLAINTEXT://127.0.0.1:$self->{port}$advertised
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,SECURE:SASL_SSL
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$self->{directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=$create
log.cleaner.dedupe.buffer.size=16777216
$more
EOC
	close($file);
	IPC::Run::run([ java('kafka.tools.StorageTool', 'random-uuid') ], '>', \$id, '2>', '/dev/null') or die;
	chomp $id;
	IPC::Run::run([ java('kafka.tools.StorageTool', 'format', @format, '-t', $id, '-c', $conf) ],
		'>', "$self->{directory}/format", '2>&1') or die;
	return $self;
}

# Java wants key and certificate in one file
sub write_keystore
{
	my ($self, @parts) = @_;

	append_to_file("$self->{directory}/keystore", slurp_file($_)) foreach @parts;
	return;
}

sub address { return "127.0.0.1:$_[0]{port}"; }
sub secure_address { return "127.0.0.1:$_[0]{secure}"; }
sub behind { return $_[0]{behind}; }
sub through_proxy { return "127.0.0.1:$_[0]{proxy}"; }

# start_wire(PLACE, NODE, LOG): the proxy kafka_wire.py, at the port of "proxy", and
# before the PostgreSQL of NODE
sub start_wire
{
	my ($self, $place, $node, $log) = @_;

	return ClientTest::start_peer('kafka_wire.py', $place, $log, $self->{proxy}, $self->{behind}, $node->host . '/.s.PGSQL.' . $node->port);
}

sub start
{
	my ($self) = @_;

	$self->{process} = IPC::Run::start([ java('kafka.Kafka', "$self->{directory}/server.properties") ],
		'<', \undef, '>>', "$self->{directory}/log", '2>>', "$self->{directory}/log");
	foreach my $try (1 .. 1800)
	{
		return $self
		  if IPC::Run::run([ 'kcat', '-b', $self->address, '-L', '-m', '2' ], '>', '/dev/null', '2>', '/dev/null');
		Time::HiRes::sleep(0.1);
	}
	die 'the broker does not start';
}

sub kill
{
	my ($self) = @_;

	return if !$self->{process};
	# however long a machine with other work takes for that
	$self->{process}->signal('KILL');
	$self->{process}->finish;
	delete $self->{process};
	return;
}

# messages(TOPIC, OPTION...): each with partition, offset, key, value (undef if
# it has none) and headers
sub messages
{
	my ($self, $topic, @options) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'kcat', '-b', $self->address, '-C', '-t', $topic, '-o', 'beginning', '-e', '-q',
			'-f', '%p\t%o\t%h\t%K\t%k\t%S\t%s\n', map { ('-X', $_) } @options ], '>', \$out, '2>', \$err) or die $err;
	my @messages;

	utf8::decode($out);
	foreach my $line (split(/\n/, $out))
	{
		my ($partition, $offset, $headers, $key_size, $key, $size, $value) = split(/\t/, $line, 7);

		push @messages,
		  {
			partition => $partition,
			offset => $offset,
			key => $key_size < 0 ? undef : $key,
			# none, where an empty one has length 0
			value => $size < 0 ? undef : $value,
			headers => { map { split(/=/, $_, 2) } split(/,/, $headers) } };
	}
	return sort { $a->{partition} <=> $b->{partition} || $a->{offset} <=> $b->{offset} } @messages;
}

sub DESTROY { $_[0]->kill; return; }

1;
