# motion adds up until the flush
motion 1 2
motion 3 -1
flush
flush
count coalesced 1

R dx=4 dy=1

# there and back is nothing
motion 5 5
motion -5 -5
flush

# one axis
motion 0 -7
flush

R dy=-7

# an edge carries the motion before it
motion 1 1
motion 1 1 l
motion 1 1 l
motion 0 0
flush

R dx=2 dy=2 left=1
R dx=1 dy=1 left=0

# the sum does not wrap
motion 32767 -32768 * 70000
flush

R dx=2147483647 dy=-2147483648

# absolute and relative keep their order
state 0 10 10
motion 1 1
state 0 11 11
motion 2 2
flush

A x=11 x=10 y=11 y=10
R dx=1 dy=1
A x=10 x=11 y=10 y=11
R dx=2 dy=2

# after motion the same position is a new one
state 0 10 10
flush
motion 1 1
flush
state 0 10 10
flush

A x=11 x=10 y=11 y=10
R dx=1 dy=1
A x=11 x=10 y=11 y=10

# a button is released where it was pressed
state 0 10 10 l
motion 1 0 lr
state 0 12 12 r
motion 1 0
motion 0 0 l
state 0 13 13 l
nowhere

A x=11 x=10 y=11 y=10 left=1
R dx=1
A right=1
A x=13 x=12 y=13 y=12 left=0
R dx=1
A right=0
R left=1
A x=12 x=13 y=12 y=13
R left=0

# wheels turn on the device of their frame
motion 0 0 - 120
nowhere - 0 60
motion 0 0 - 0 60

R wheel_hi=120 wheel=1
A hwheel_hi=60
R hwheel_hi=60 hwheel=1
