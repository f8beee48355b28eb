# load_packages.pl: Debian's package catalogue as SQL that creates and fills a
# table.
#
#	apt-cache dumpavail | perl load_packages.pl [TABLE] | psql
#
# Real rows: UTF-8, quotes and newlines in the text, numbers, an array of
# dependencies, the fields that have no column of their own as jsonb.
use strict;
use warnings;

use Encode qw(decode encode);

my $table = shift(@ARGV) || 'packages';
my @columns = qw(Package Version Architecture Section Priority Installed-Size
  Size Maintainer Description Depends);
my %is_column = map { $_ => 1 } @columns;

binmode(STDIN, ':raw');
binmode(STDOUT, ':raw');

# as COPY's text format wants it
sub copy_text
{
	my ($value) = @_;

	return '\N' unless defined $value;
	$value =~ s/\\/\\\\/g;
	$value =~ s/\n/\\n/g;
	$value =~ s/\t/\\t/g;
	$value =~ s/\r/\\r/g;
	return $value;
}

sub quoted
{
	my ($value) = @_;

	$value =~ s/([\\"])/\\$1/g;
	return "\"$value\"";
}

sub json_string
{
	my ($value) = @_;

	$value = quoted($value);
	$value =~ s/([\x00-\x1f])/sprintf('\u%04x', ord($1))/ge;
	return $value;
}

# "a (>= 1), b | c" as an array of its members
sub array_text
{
	my ($list) = @_;

	return undef unless defined $list;
	return '{' . join(',', map { quoted($_) } split(/\s*,\s*/, $list)) . '}';
}

print <<"END";
CREATE TABLE $table (
	package text NOT NULL,
	version text NOT NULL,
	architecture text NOT NULL,
	section text,
	priority text,
	installed_kb bigint,
	bytes bigint,
	ratio numeric,
	maintainer text,
	description text,
	depends text[],
	fields jsonb,
	entry text,
	read_at timestamptz DEFAULT clock_timestamp(),
	PRIMARY KEY (package, version, architecture)
);
COPY $table (package, version, architecture, section, priority, installed_kb,
	bytes, ratio, maintainer, description, depends, fields, entry) FROM stdin;
END

my %seen;

local $/ = "\n\n";
while (my $entry = <STDIN>)
{
	my %field;

	# bytes that are no UTF-8 become replacement characters
	$entry = encode('UTF-8', decode('UTF-8', $entry))
	  if $entry =~ /[\x80-\xff]/;
	$entry =~ s/\n+\z//;
	$entry =~ tr/\x00//d;

	# a field goes on in lines that start with white space
	foreach my $text (split(/\n(?=[^ \t])/, $entry))
	{
		my ($name, $value) = split(/:[ \t]*/, $text, 2);

		$field{$name} = $value if defined $value;
	}
	next unless defined $field{Package} && defined $field{Version};
	next if $seen{"@field{qw(Package Version Architecture)}"}++;

	my $ratio = $field{Size} && $field{'Installed-Size'}
	  ? sprintf('%.4f', $field{Size} / ($field{'Installed-Size'} * 1024))
	  : undef;
	my $others = join(', ',
		map { json_string($_) . ': ' . json_string($field{$_}) }
		grep { !$is_column{$_} } sort keys %field);

	print join("\t",
		map { copy_text($_) } @field{
			qw(Package Version Architecture Section Priority
			  Installed-Size Size)
		},
		$ratio, @field{qw(Maintainer Description)},
		array_text($field{Depends}), "{$others}", $entry),
	  "\n";
}
print "\\.\n";
print "ANALYZE $table;\n";
