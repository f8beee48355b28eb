# HivemqTest.pm: HiveMQ (Community Edition) on a free port of 127.0.0.1, in place of
# mosquitto: see MqttTest.pm.  OUTFLOW_HIVEMQ is the directory of its jars.
package HivemqTest;

use strict;
use warnings;

use FindBin;
use parent 'MqttTest';
use PostgreSQL::Test::Utils;

die "OUTFLOW_HIVEMQ is not set: run this test by test/run\n" unless $ENV{OUTFLOW_HIVEMQ};

# configure(LINE...): of XML, within <mqtt>
sub configure
{
	my ($self, @lines) = @_;

	mkdir "$self->{directory}/$_" foreach qw(conf data extensions);
	append_to_file("$self->{directory}/conf/config.xml", <<"EOC");
<hivemq>
<listeners><tcp-listener><port>$self->{port}</port><bind-address>127.0.0.1</bind-address></tcp-listener></listeners>
<mqtt><queued-messages><max-queue-size>1000000</max-queue-size></queued-messages>@lines</mqtt>
<persistence><mode>file</mode></persistence>
<anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
</hivemq>
EOC
	return;
}

sub command
{
	my ($self) = @_;

	return ('java', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', "$ENV{OUTFLOW_HIVEMQ}/*",
		"$FindBin::RealBin/hivemq/Broker.java", $self->{directory});
}

# it writes sessions down as they change
sub settle { return; }

1;
