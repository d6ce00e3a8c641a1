# a display has its place on the desktop: two of 1000x1000 side by side
layout two
state 0 32768 32768
flush
state 1 32768 32768
flush
state 2 32768 32768
flush
count unknown 1

A x=16397 x=16396 y=32792 y=32793
A x=49164

# after a change of the layout the same position is sent
layout single
state 0 0 0
flush
layout single
state 0 0 0
flush
state 0 0 0
flush

A x=24 x=25 y=24 y=25
A x=24 x=25 y=24 y=25

# a position held back goes to where the frame found it
layout two
state 1 32768 32768
layout single
flush

A x=49165 x=49164 y=32792 y=32793

# buttons stay down over a change of the layout
layout two
nowhere l
layout single
state 0 32768 32768 l
nowhere

A left=1
A x=32792 x=32793 y=32792 y=32793 left=0

# a layout that is not known any more
layout two
layout none
state 1 5 5
state 0 5 5
flush
count unknown 1

A x=4 x=5 y=4 y=5
