# an edge goes out at once, with its position
state 0 10 20
state 0 12 22 l
state 0 14 24 l
flush

A x=13 x=12 y=23 y=22 left=1
A x=14 y=24

# press and release in one read are two reports, each at its own place
state 0 1 1 l
state 0 2 2 -
flush

A x=0 x=1 y=0 y=1 left=1
A x=2 y=2 left=0

# each button has its code
nowhere l
nowhere m
nowhere r
nowhere s
nowhere e
nowhere f
nowhere b
nowhere -

A left=1
A left=0 middle=1
A middle=0 right=1
A right=0 side=1
A side=0 extra=1
A extra=0 forward=1
A forward=0 back=1
A back=0

# all of them in one report
state 0 0 0 lmrsefb
nowhere
nowhere

A x=1 x=0 y=1 y=0 left=1 middle=1 right=1 side=1 extra=1 forward=1 back=1
A left=0 middle=0 right=0 side=0 extra=0 forward=0 back=0

# held buttons cause nothing
nowhere l
nowhere l
state 0 5 5 l
flush

A left=1
A x=4 x=5 y=4 y=5

# a click on a display that does not exist clicks where the pointer is
state 0 5 5
flush
state 3 7 7 l
nowhere
count unknown 1

A x=4 x=5 y=4 y=5
A left=1
A left=0

# buttons that nobody knows are none
buttons 0xff80
buttons 0xffff
buttons 0xff80

A left=1 middle=1 right=1 side=1 extra=1 forward=1 back=1
A left=0 middle=0 right=0 side=0 extra=0 forward=0 back=0
