# a detent, up and down
nowhere - 120
nowhere - -120

A wheel_hi=120 wheel=1
A wheel_hi=-120 wheel=-1

# sideways
nowhere - 0 120
nowhere - 0 -240

A hwheel_hi=120 hwheel=1
A hwheel_hi=-240 hwheel=-2

# parts of a detent add up, and the rest stays
nowhere - 50
nowhere - 50
nowhere - 50
nowhere - 91

A wheel_hi=50
A wheel_hi=50
A wheel_hi=50 wheel=1
A wheel_hi=91 wheel=1

# back and forth ends where it began
nowhere - 90
nowhere - -90
nowhere - -90
nowhere - -90
nowhere - 180

A wheel_hi=90
A wheel_hi=-90
A wheel_hi=-90
A wheel_hi=-90 wheel=-1
A wheel_hi=180 wheel=1

# the axes do not mix
nowhere - 60 70
nowhere - 60 70

A wheel_hi=60 hwheel_hi=70
A wheel_hi=60 wheel=1 hwheel_hi=70 hwheel=1

# the largest turns
nowhere - 32767 -32768

A wheel_hi=32767 wheel=273 hwheel_hi=-32768 hwheel=-273

# a turn goes out at once, with its position, after the buttons
state 0 3 3
state 0 4 4 l 120
state 0 5 5 l
flush

A x=5 x=4 y=5 y=4 left=1 wheel_hi=120 wheel=1
A x=5 y=5

# equal turns are not merged
nowhere - 120
nowhere - 120

A wheel_hi=120 wheel=1
A wheel_hi=120 wheel=1
