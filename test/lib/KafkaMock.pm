# KafkaMock.pm: librdkafka's mock broker, in a process of its own; see
# test/modules/kafka_mock.  It needs no Java, and fails when it is told to.
#
#	my $broker = KafkaMock->new('topic shop.public.t 3');
#	$broker->tell('errors 0 10 1');
#	my @messages = $broker->messages('shop.public.t');
package KafkaMock;

use strict;
use warnings;

use FindBin;
use IPC::Open2;
use KafkaTest;

our @ISA = ('KafkaTest');

sub new
{
	my ($class, @commands) = @_;
	my $self = bless {}, $class;

	$self->{pid} = open2($self->{out}, $self->{in}, "$FindBin::RealBin/../modules/kafka_mock/kafka_mock");
	chomp($self->{address} = readline $self->{out});
	$self->tell($_) foreach @commands;
	return $self;
}

sub address { return $_[0]{address}; }

sub tell
{
	my ($self, $command) = @_;
	my $answer;

	print { $self->{in} } "$command\n";
	$self->{in}->flush;
	$answer = readline $self->{out};
	$answer eq "ok\n" or die "$command: $answer";
	return;
}

sub DESTROY
{
	my ($self) = @_;

	local $?;
	close $self->{in};
	waitpid $self->{pid}, 0;
	return;
}

1;
