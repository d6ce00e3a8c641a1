# the first position is sent twice: the device may stand there already
state 0 0 0
flush

A x=1 x=0 y=1 y=0

# motion is held back until the flush, and the last one counts
state 0 10 20
state 0 11 21
state 0 12 22
flush
flush

A x=13 x=12 y=23 y=22

# only what changed is sent
state 0 10 20
flush
state 0 10 21
flush
state 0 9 21
flush
state 0 9 21
flush

A x=11 x=10 y=21 y=20
A y=21
A x=9

# the ends of the range
state 0 0 65535
flush
state 0 65535 0
flush

A x=1 x=0 y=65534 y=65535
A x=65535 y=0

# nothing is known of other displays
state 1 5 5
state 7 5 5
state 65535 5 5
flush
count unknown 3

# a frame without a position leaves it as it is
state 0 10 20
flush
nowhere
flush
state 0 10 20
flush

A x=11 x=10 y=21 y=20

# frames that are no input cause nothing
hello
credit
flush
count frames 0

# counters
state 0 1 1
state 0 2 2
state 0 3 3
flush
state 0 4 4
flush
count frames 4
count coalesced 2

A x=2 x=3 y=2 y=3
A x=4 y=4
