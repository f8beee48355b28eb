# OutflowValues.pm: random values of every built-in sort of type, as SQL.
#
# The numbers come from a generator of our own, so that a seed gives the same
# values with every version of Perl.
package OutflowValues;

use strict;
use warnings;

# new(SEED): with {portable} set, values are left out that JSON can't tell from
# others: a json null, and arrays with lower bounds of their own
sub new
{
	my ($class, $seed) = @_;

	return bless { state => ($seed * 2654435761 + 88172645) & 0xFFFFFFFF || 1 },
	  $class;
}

# 32 bits of Marsaglia's xorshift
sub bits
{
	my ($self) = @_;
	my $x = $self->{state};

	$x ^= ($x << 13) & 0xFFFFFFFF;
	$x ^= $x >> 17;
	$x ^= ($x << 5) & 0xFFFFFFFF;
	return $self->{state} = $x;
}

# an integer from 0 to N - 1
sub below
{
	my ($self, $n) = @_;
	return $self->bits % $n;
}

sub between
{
	my ($self, $from, $to) = @_;
	return $from + $self->below($to - $from + 1);
}

# true in PERCENT of all calls
sub chance
{
	my ($self, $percent) = @_;
	return $self->below(100) < $percent;
}

sub pick
{
	my ($self, @choices) = @_;
	return $choices[ $self->below(scalar @choices) ];
}

# a literal of any text without zero bytes
sub quote
{
	my ($text) = @_;

	$text =~ s/'/''/g;
	return "'$text'";
}

sub quote_name
{
	my ($name) = @_;

	$name =~ s/"/""/g;
	return qq{"$name"};
}

my @pieces = (
	'a', 'Z', '0', ' ', '  ', 'plain words', '"', "'", '\\', '\\\\', '/', ',',
	'{', '}', '(', ')', '[', ']', ':', ';', '<&>', '%s%d', '$1', '\\x41',
	'\\u0041', 'NULL', 'null', "\t", "\n", "\r\n", "\b", "\f", "\x01",
	"\x1f", "\x7f", "\xc3\xa4", "\xce\xbb\xcf\x8c\xce\xb3\xce\xbf\xcf\x82",
	"\xe6\xbc\xa2\xe5\xad\x97", "\xf0\x9f\x90\x98", "\xe2\x80\xa8",
	"\xc2\xa0", 'sixteen bytes OK', 'x' x 31);

# text of up to about MAX bytes, in UTF-8
sub text
{
	my ($self, $max) = @_;
	my $kind = $self->below(10);
	my $text = '';

	return '' if $kind == 0;
	return join('', map { chr($self->between(32, 126)) }
		  1 .. $self->between(1, $max))
	  if $kind < 3;
	foreach (1 .. $self->between(1, 8))
	{
		my $piece = $self->pick(@pieces);

		last if length($text) + length($piece) > $max;
		$text .= $piece;
	}
	return $text;
}

# text that doesn't compress
sub noise
{
	my ($self, $length) = @_;
	return join('', map { chr($self->between(35, 91)) } 1 .. $length);
}

sub digits
{
	my ($self, $count) = @_;
	return join('', map { $self->below(10) } 1 .. $count);
}

sub integer
{
	my ($self, $bits) = @_;
	my $small = $self->between(-20, 20);
	my %edge = (
		16 => [ '-32768', '32767' ],
		32 => [ '-2147483648', '2147483647' ],
		64 => [ '-9223372036854775808', '9223372036854775807' ]);

	return $small if $self->chance(50);
	return $self->pick(@{ $edge{$bits} }) if $self->chance(30);
	return ($self->chance(50) ? '-' : '')
	  . $self->between(1, 9)
	  . $self->digits($self->between(0, { 16 => 3, 32 => 8, 64 => 17 }->{$bits}));
}

sub float
{
	my ($self, $digits, $exponent) = @_;

	return $self->pick('NaN', 'Infinity', '-Infinity', '0', '-0', '1', '0.1',
		'1e15', '1e16', '1e-4', '1e-5', '123456', '1234567', "1e$exponent",
		"-1e-$exponent")
	  if $self->chance(50);
	return
		($self->chance(50) ? '-' : '')
	  . $self->below(1000) . '.'
	  . $self->digits($digits) . 'e'
	  . $self->between(-$exponent + 10, $exponent - 10);
}

sub numeric
{
	my ($self, $precision, $scale) = @_;

	if (defined $precision)
	{
		return 'NaN' if $self->chance(10);
		return ($self->chance(50) ? '-' : '')
		  . $self->digits($self->between(1, $precision - $scale))
		  . ($scale ? '.' . $self->digits($self->between(1, $scale)) : '');
	}
	return $self->pick('NaN', 'Infinity', '-Infinity', '0', '0.0', '-0.00',
		'1', '10000', '9999.9999', '0.0001', '0.00000001', '1e100', '1e-100',
		'100000000', '-12345678901234567890.123456789')
	  if $self->chance(50);
	return ($self->chance(50) ? '-' : '')
	  . $self->digits($self->between(1, 40)) . '.'
	  . $self->digits($self->between(1, 30));
}

sub time_of_day
{
	my ($self) = @_;

	return $self->pick('00:00:00', '24:00:00', '23:59:59.999999', '12:30:00.5')
	  if $self->chance(30);
	return sprintf('%02d:%02d:%02d.%06d', $self->below(24), $self->below(60),
		$self->below(60), $self->below(1000000));
}

sub zone
{
	my ($self) = @_;
	return $self->pick('Z', '+00', '-08', '+05:30', '+14', '-15:59:59',
		'+01:23:45', '+00:00:01');
}

sub date
{
	my ($self, $infinite) = @_;
	my $kind = $self->below(20);

	return $self->pick('infinity', '-infinity') if $infinite && $kind == 0;
	return $self->pick('0001-01-01', '0044-03-15 BC', '4713-01-01 BC',
		'1970-01-01', '2000-02-29', '1999-12-31', '9999-12-31', '10000-01-01',
		'99999-06-15')
	  if $kind < 6;
	return sprintf('%04d-%02d-%02d', $self->between(1700, 2200),
		$self->between(1, 12), $self->between(1, 28));
}

# date and time; BC goes after both
sub timestamp
{
	my ($self, $zone) = @_;
	my $date = $self->date(1);
	my $bc = $date =~ s/ BC$// ? ' BC' : '';

	return $date if $date =~ /infinity/;
	return "$date " . $self->time_of_day . ($zone ? $self->zone : '') . $bc;
}

sub interval
{
	my ($self) = @_;
	return $self->pick('0', '1 day', '-1 day', '1 year 2 mons 3 days',
		'1 mon -1 day 00:00:01', '-1 year -2 mons +3 days -04:05:06.7',
		'25:00:00', '-00:00:00.000001', '178000000 years', '1.5 hours',
		$self->below(1000) . ' days ' . $self->time_of_day);
}

sub json
{
	my ($self, $depth) = @_;
	my $kind = $self->below($depth ? 8 : 6);

	return 'null' if $kind == 0;
	return $self->pick('true', 'false') if $kind == 1;
	return $self->pick('0', '-1', '1.50', '1e5', '12345678901234567890', '0.1')
	  if $kind == 2;
	return _json_string($self->text(30)) if $kind < 6;
	my @items = map { $self->json($depth - 1) } 1 .. $self->below(4);
	my $space = $self->pick('', ' ');
	return '[' . join(",$space", @items) . ']' if $kind == 6;
	my $n = 0;
	return '{'
	  . join(",$space",
		map { _json_string($self->text(8) . $n++) . ":$space$_" } @items)
	  . '}';
}

# a whole document
sub document
{
	my ($self) = @_;

	for (;;)
	{
		my $json = $self->json(3);

		return $json unless $self->{portable} && $json eq 'null';
	}
}

# as PostgreSQL itself escapes what it has read
my %short_escapes =
  ("\b" => '\b', "\f" => '\f', "\n" => '\n', "\r" => '\r', "\t" => '\t');

sub _json_string
{
	my ($text) = @_;

	$text =~ s/(["\\])/\\$1/g;
	$text =~ s/([\x00-\x1f])/$short_escapes{$1} || sprintf('\\u%04x', ord($1))/ge;
	return qq{"$text"};
}

sub number
{
	my ($self) = @_;
	return $self->pick('0', '1.5', '-2', '1e10', '0.1', '-0.3333', '1e-7');
}

sub point
{
	my ($self) = @_;
	return '(' . $self->number . ',' . $self->number . ')';
}

# Each gives the inside of a literal of its type.
my %makers = (
	bool => sub { $_[0]->pick('t', 'f') },
	int2 => sub { $_[0]->integer(16) },
	int4 => sub { $_[0]->integer(32) },
	int8 => sub { $_[0]->integer(64) },
	oid => sub { $_[0]->pick('0', '1', '4294967295', $_[0]->digits(6) + 0) },
	xid => sub { $_[0]->pick('0', '3', '4294967295') },
	xid8 => sub { $_[0]->pick('0', '18446744073709551615') },
	cid => sub { $_[0]->digits(4) + 0 },
	tid => sub { $_[0]->pick('(0,1)', '(4294967295,65535)') },
	pg_lsn => sub { $_[0]->pick('0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848') },
	pg_snapshot => sub { $_[0]->pick('10:20:10,14,15', '1:1:') },
	float4 => sub { $_[0]->float(5, 37) },
	float8 => sub { $_[0]->float(15, 307) },
	numeric => sub { $_[0]->numeric },
	'numeric(10,2)' => sub { $_[0]->numeric(10, 2) },
	'numeric(30,0)' => sub { $_[0]->numeric(30, 0) },
	money => sub { $_[0]->pick('0', '-1.5', '92233720368547758.07', '1000') },
	text => sub { $_[0]->text(200) },
	'varchar(40)' => sub { $_[0]->text(40) =~ s/[\x80-\xff]+/~/gr },
	'char(12)' => sub { $_[0]->text(12) =~ s/[\x80-\xff]+/~/gr },
	'"char"' => sub { $_[0]->pick('', 'a', '"', '\\', "\x01", '0') },
	name => sub { substr($_[0]->text(60), 0, 60) =~ s/[\x80-\xff]+/~/gr },
	bytea => sub {
		my ($self) = @_;
		'\\x' . join('', map { sprintf '%02x', $self->below(256) }
			  1 .. $self->below(40));
	},
	date => sub { $_[0]->date(1) },
	time => sub { $_[0]->time_of_day },
	'time(0)' => sub { $_[0]->time_of_day },
	timetz => sub { $_[0]->time_of_day . $_[0]->zone },
	timestamp => sub { $_[0]->timestamp(0) },
	'timestamp(3)' => sub { $_[0]->timestamp(0) },
	timestamptz => sub { $_[0]->timestamp(1) },
	interval => sub { $_[0]->interval },
	uuid => sub { sprintf '%08x%08x%08x%08x', map { $_[0]->bits } 1 .. 4 },
	json => sub { $_[0]->document },
	jsonb => sub { $_[0]->document },
	jsonpath => sub { $_[0]->pick('$.a[*] ? (@ > 1)', 'strict $."a b"') },
	xml => sub { $_[0]->pick('<a b="c">d&amp;e</a>', 'plain', '<x/>') },
	inet => sub { $_[0]->pick('10.0.0.1', '10.1.2.3/8', '::1', 'fe80::1/64') },
	cidr => sub { $_[0]->pick('10.0.0.0/8', '2001:db8::/32') },
	macaddr => sub { '08:00:2b:01:02:' . sprintf '%02x', $_[0]->below(256) },
	macaddr8 => sub { '08:00:2b:01:02:03:04:05' },
	'bit(5)' => sub { $_[0]->pick('00000', '10101') },
	varbit => sub { $_[0]->pick('', '1', '0101010101') },
	point => sub { $_[0]->point },
	line => sub { '{1,' . $_[0]->number . ',-1}' },
	lseg => sub { '[' . $_[0]->point . ',' . $_[0]->point . ']' },
	box => sub { $_[0]->point . ',' . $_[0]->point },
	path => sub { $_[0]->pick('[(0,0),(1,1)]', '((0,0),(1,1),(2,0))') },
	polygon => sub { '((0,0),(1,1),(2,' . $_[0]->number . '))' },
	circle => sub { '<' . $_[0]->point . ',2>' },
	tsvector => sub { $_[0]->pick(q{a fat 'ca t':2A}, q{'\\\\' "x"}, '') },
	tsquery => sub { $_[0]->pick(q{fat & (rat | !'ca t')}, 'a <-> b:*A') },
	int2vector => sub { $_[0]->pick('', '1', '1 -2 3') },
	oidvector => sub { $_[0]->pick('', '26 23') },
	regclass => sub { $_[0]->pick('pg_class', 'pg_type', '0') },
	regtype => sub { $_[0]->pick('integer', 'text[]', 'timestamptz') },
	int4range => sub { $_[0]->pick('empty', '[1,10)', '(,5]', '(,)', '[3,)') },
	int8range => sub { $_[0]->pick('empty', '[1,9223372036854775807)') },
	numrange => sub { $_[0]->pick('empty', '[1.50,2]', '(-Infinity,NaN)') },
	tsrange => sub { '["2020-01-01 00:00:00","2021-06-01 12:30:00.5")' },
	tstzrange => sub { $_[0]->pick('["2020-01-01 00:00:00+02",)', 'empty') },
	daterange => sub { $_[0]->pick('[2020-01-01,infinity)', '(,2020-01-01)') },
	int4multirange => sub { $_[0]->pick('{}', '{[1,3),[5,9)}') },
	tstzmultirange => sub { '{["2020-01-01 00:00:00+02","2020-01-02")}' },
	'int4[]' => sub { $_[0]->array('int4') },
	'int8[]' => sub { $_[0]->array('int8') },
	'text[]' => sub { $_[0]->array('text') },
	'bool[]' => sub { $_[0]->array('bool') },
	'float8[]' => sub { $_[0]->array('float8') },
	'numeric[]' => sub { $_[0]->array('numeric') },
	'timestamptz[]' => sub { $_[0]->array('timestamptz') },
	'jsonb[]' => sub { $_[0]->array('jsonb') },
	'bytea[]' => sub { $_[0]->array('bytea') },
	'uuid[]' => sub { $_[0]->array('uuid') },
	'interval[]' => sub { $_[0]->array('interval') });

# an array literal of up to three dimensions, of elements without NULL beyond
# the first dimension
sub array
{
	my ($self, $element) = @_;
	my $kind = $self->below(10);

	return '{}' if $kind == 0;
	return $self->_array_level($element, 2, 2) if $kind < 3;
	return $self->_array_level($element, 3, 2) if $kind == 3;
	my @items = map { $self->chance(20) ? 'NULL' : $self->_array_item($element) }
	  1 .. $self->between(1, 4);
	my $bounds =
	  !$self->{portable} && $self->chance(10)
	  ? '[0:' . $#items . ']='
	  : '';
	return "$bounds\{" . join(',', @items) . '}';
}

sub _array_level
{
	my ($self, $element, $dimensions, $length) = @_;

	return $self->_array_item($element) if $dimensions == 0;
	return '{'
	  . join(',',
		map { $self->_array_level($element, $dimensions - 1, $length) }
		  1 .. $length)
	  . '}';
}

sub _array_item
{
	my ($self, $element) = @_;
	my $text = $makers{$element}->($self);

	$text =~ s/(["\\])/\\$1/g;
	return qq{"$text"};
}

# types(): the names of all types that value() knows
sub types
{
	return sort keys %makers;
}

# add_type(NAME, SUB): the sub, called as a method, gives a literal's inside
sub add_type
{
	my ($class, $name, $maker) = @_;

	$makers{$name} = $maker;
	return;
}

# value(TYPE): an SQL expression of the type, now and then NULL
sub value
{
	my ($self, $type) = @_;

	return 'NULL' if $self->chance(10);
	return $self->present($type);
}

# present(TYPE): the same, never NULL
sub present
{
	my ($self, $type) = @_;
	my $maker = $makers{$type} or die "no values of type $type";

	return quote($maker->($self)) . "::$type";
}

1;
