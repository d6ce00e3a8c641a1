# everything that is down goes up
state 0 5 5 lrb
release
release

A x=4 x=5 y=4 y=5 left=1 right=1 back=1
A left=0 right=0 back=0

# on the device that has it
motion 0 0 m
release

R middle=1
R middle=0

# motion held back and parts of a detent are forgotten
state 0 5 5
release
flush
motion 5 5
release
flush
nowhere - 100 100
release
nowhere - 100 100

A wheel_hi=100 hwheel_hi=100
A wheel_hi=100 hwheel_hi=100

# what comes after is sent even if the device is there
state 0 5 5
flush
release
state 0 5 5
flush

A x=4 x=5 y=4 y=5
A x=4 x=5 y=4 y=5

# a new host may press again
nowhere l
release
nowhere l

A left=1
A left=0
A left=1
