# Promise: the settings that a stream pins live as long as the stream: whether it
# ends well or by an error, its session has its own again, and one that nobody set
# there goes on following the configuration file.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
SQL
create_slot($node, 'feed');
$node->safe_psql('postgres', q{INSERT INTO t VALUES (1, repeat('x', 2000))});

# 19 can't turn it off any more
my $strings = server_major($node) < 19 ? 'off' : 'on';

# settings.py DSN HOW STRINGS: a replication connection, its settings before a stream that
# fails and after it, and whether a change of the configuration file gets through
my $client = "${PostgreSQL::Test::Utils::tmp_check}/settings.py";
append_to_file($client, <<'PYTHON');
import sys, time
import psycopg2, psycopg2.extras

dsn, how = sys.argv[1:3]
names = ('DateStyle', 'IntervalStyle', 'TimeZone', 'bytea_output',
         'extra_float_digits', 'lc_monetary', 'search_path',
         'quote_all_identifiers', 'standard_conforming_strings')
connection = psycopg2.connect(
    dsn, connection_factory=psycopg2.extras.LogicalReplicationConnection)
cursor = connection.cursor()

def show():
    result = {}
    for name in names:
        cursor.execute('SHOW ' + name)
        result[name] = cursor.fetchone()[0]
    return result

for name, value in (('IntervalStyle', 'iso_8601'), ('TimeZone', 'Asia/Tokyo'),
                    ('search_path', 'nowhere, public'),
                    ('extra_float_digits', '-3'),
                    ('standard_conforming_strings', sys.argv[3])):
    cursor.execute("SET %s = %s" % (name, value if name == 'search_path'
                                    else "'%s'" % value))
before = show()
options = {'oversize': 'error'}
if how == 'value':
    options['max_value_bytes'] = '1kB'
elif how == 'option':
    options['no_such'] = 'on'
try:
    cursor.start_replication(slot_name='feed', decode=True, options=options)
    cursor.consume_stream(lambda message: None)
    print('no error')
except psycopg2.Error as error:
    print('error:', str(error).split('\n')[0])
print('changed:', ' '.join(n for n in names if show()[n] != before[n]) or 'none')

other = psycopg2.connect(dsn)
other.autocommit = True
other.cursor().execute("ALTER SYSTEM SET DateStyle = 'German'")
other.cursor().execute('SELECT pg_reload_conf()')
for attempt in range(100):
    if show()['DateStyle'].startswith('German'):
        break
    time.sleep(0.1)
print('file:', show()['DateStyle'].split(',')[0])
other.cursor().execute('ALTER SYSTEM RESET DateStyle')
other.cursor().execute('SELECT pg_reload_conf()')
PYTHON

my %fails = (
	value => qr/value|column/, # while a row is written
	option => qr/no_such/); # before anything is
foreach my $how (sort keys %fails)
{
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[ $ENV{OUTFLOW_PYTHON}, $client, $node->connstr('postgres'), $how, $strings ],
		'>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($err, '', "$how: the client works");
	like($out, qr/^error: .*$fails{$how}/m, "$how: the stream fails");
	like($out, qr/^changed: none$/m, "$how: all settings are as before");
	like($out, qr/^file: German$/m, "$how: what nobody set follows the file");
}

# the text of a default
$node->safe_psql('postgres', q{CREATE TABLE d (id int PRIMARY KEY, v text DEFAULT E'a\\\\b'); INSERT INTO d VALUES (1)});
is( $node->safe_psql('postgres', <<"SQL"), q{'a\b'::text}, 'a default with a backslash');
SET standard_conforming_strings = $strings;
SELECT data::json->'columns'->1->>'default' FROM pg_logical_slot_peek_changes('feed', NULL, NULL) WHERE data ~ '"op":"schema".*"table":"d"';
SQL

$node->stop;
done_testing();
