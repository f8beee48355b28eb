# Promise: the clients in README.md, in Node and Go, miss nothing and apply nothing
# twice, though they are killed and the server crashes.
#
# They are built on npm's pg-logical-replication, found by NODE_PATH, and on Go's
# pglogrepl, which is in the program in OUTFLOW_GO.
use strict;
use warnings;

use ConsumerTest;
use FindBin;
use Test::More;

test_client('consume.js', 'node', "$FindBin::Bin/../clients/consume.js");
test_client('consume.go', "$ENV{OUTFLOW_GO}/consume");
done_testing();
