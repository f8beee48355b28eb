# Promise: the client in README.md, in Python, misses nothing and applies nothing
# twice, though it is killed and the server crashes.
use strict;
use warnings;

use ConsumerTest;
use FindBin;
use Test::More;

test_client('consume.py', $ENV{OUTFLOW_PYTHON}, "$FindBin::Bin/../clients/consume.py");
done_testing();
