# MqttTest.pm: mosquitto on a free port of 127.0.0.1, and who has subscribed.
#
#	my $broker = MqttTest->new('max_packet_size 10000');   # lines of its configuration
#	$broker->start; $broker->kill; $broker->stop;           # sessions stay
#	my $viewer = $broker->subscribe('shop/#');              # until it is ended
#	my @messages = MqttTest::messages($viewer);
#
# Whoever subscribes must be there when the broker is killed: what is due to it is
# written to its socket before the publisher gets an answer, and not kept on disk.
package MqttTest;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Time::HiRes ();

my @brokers;

sub new
{
	my ($class, @lines) = @_;
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
	my $self = bless {
		directory => File::Temp::tempdir('outflow_mqtt_XXXXXX', TMPDIR => 1, CLEANUP => 1),
		port => $socket->sockport,
		viewers => 0 }, $class;

	push @brokers, $self;
	close($socket);
	$self->configure(@lines);
	return $self;
}

# what another broker has in its own way: the configuration, the command, and what
# makes it write a new session down

sub configure
{
	my ($self, @lines) = @_;
	my $user = getpwuid($>);

	append_to_file("$self->{directory}/conf", join("\n",
		"listener $self->{port} 127.0.0.1", "user $user",
		'persistence true', "persistence_location $self->{directory}/",
		'autosave_interval 0', 'max_queued_messages 0', (grep { /anonymous/ } @lines) ? () : 'allow_anonymous true', @lines, ''));
	return;
}

sub command
{
	my ($self) = @_;

	return ('/usr/sbin/mosquitto', '-c', "$self->{directory}/conf");
}

sub settle
{
	my ($self) = @_;

	$self->stop;
	$self->start;
	return;
}

sub start
{
	my ($self) = @_;

	$self->{process} = IPC::Run::start([ $self->command ],
		'<', \undef, '>>', "$self->{directory}/log", '2>>', "$self->{directory}/log");
	# HiveMQ takes its time where others compute
	foreach my $try (1 .. 3600)
	{
		return $self if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port});
		Time::HiRes::sleep(0.05);
	}
	die 'the broker does not start: ' . slurp_file("$self->{directory}/log");
}

sub end
{
	my ($self, $signal) = @_;

	return if !$self->{process};
	$self->{process}->signal($signal);
	$self->{process}->finish;
	delete $self->{process};
	return;
}

sub kill { $_[0]->end('KILL'); return; }
sub stop { $_[0]->end('TERM'); return; }

# subscribe(TOPICS, OPTION...): a session that the broker keeps
sub subscribe
{
	my ($self, $topics, @options) = @_;
	my $name = 'viewer' . ++$self->{viewers};

	# that of 2.1 may end with an error of the protocol where its broker comes back
	return $self->view($name, $topics, 'sh', '-c', 'trap "kill \$!; exit" TERM; until "$@" & wait $!; do sleep 0.1; done', 'sh',
		'stdbuf', '-oL', 'mosquitto_sub', '-V', 'mqttv5', '-h', '127.0.0.1', '-p', $self->{port},
		'-i', $name, '-c', '-x', '3600', '-D', 'connect', 'receive-maximum', '65535', '-q', '2', '-d', '-t', $topics,
		'-F', 'message %j', @options);
}

# subscribe_paho(TOPICS): the same by another library
sub subscribe_paho
{
	my ($self, $topics) = @_;
	my $name = 'viewer' . ++$self->{viewers};

	return $self->view($name, $topics, $ENV{OUTFLOW_PAHO}, dirname(__FILE__) . '/mqtt_viewer.py', $self->{port}, $name, $topics);
}

# view(NAME, TOPICS, COMMAND...): what the command prints, once it has subscribed
sub view
{
	my ($self, $name, $topics, @command) = @_;
	my $file = "$self->{directory}/$name";
	my $process = IPC::Run::start([@command], '<', \undef, '>>', $file, '2>>', "$file.err");

	wait_for_line($file, qr/received SUBACK/);
	$self->settle;
	my $viewer = { process => $process, file => $file, topics => $topics, name => $name };
	push @{ $self->{subscribed} }, $viewer;
	return $self->reached($viewer);
}

# unsubscribe(VIEWER): its session ends, too
sub unsubscribe
{
	my ($self, $viewer) = @_;

	$viewer->{process}->signal('TERM');
	$viewer->{process}->finish;
	IPC::Run::run([ 'mosquitto_sub', '-V', 'mqttv5', '-h', '127.0.0.1', '-p', $self->{port}, '-i', $viewer->{name},
			'-t', 'nothing', '-E' ], '>', '/dev/null') or die 'could not connect';
	return;
}

# reached(VIEWER): it is connected and has all that was published before
sub reached
{
	my ($self, $viewer) = @_;
	my $topic = $viewer->{topics} =~ s/#/reached/r;
	my $text = 'reached ' . ++$self->{markers};

	IPC::Run::run([ 'mosquitto_pub', '-V', 'mqttv5', '-h', '127.0.0.1', '-p', $self->{port}, '-q', '1',
			'-t', $topic, '-m', $text ]) or die 'could not publish';
	wait_for_line($viewer->{file}, qr/"$text"/);
	return $viewer;
}

# messages(VIEWER): topic, payload, retain, and properties, so far
sub messages
{
	my ($viewer) = @_;
	my $json = JSON::PP->new->utf8;
	my @messages;

	foreach my $line (split(/\n/, slurp_file($viewer->{file})))
	{
		next if $line !~ /^message (\{.*\})$/;
		my $message = $json->decode($1);
		my $properties = $message->{properties}{'user-properties'};

		# mosquitto_sub 2.1 lists them, as one may come twice
		$message->{properties}{'user-properties'} = { map { %$_ } @$properties } if ref($properties) eq 'ARRAY';
		push @messages, $message;
	}
	return @messages;
}

# wait_for(VIEWER, PATTERN): until it has seen such a payload or topic
sub wait_for
{
	my ($viewer, $pattern) = @_;

	wait_for_line($viewer->{file}, $pattern);
	return;
}

# not when they are destroyed: at the end of the program that is too late
END
{
	local $?;

	foreach my $broker (@brokers)
	{
		$_->{process}->kill_kill(grace => 1) foreach @{ $broker->{subscribed} || [] };
		$broker->kill;
	}
}

1;
