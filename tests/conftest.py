"""What all tests share: the signals that a shell's background job was started to ignore are heard again."""

import signal

# a process that ignores a signal hands that on to every process it starts, and several tests send signals to theirs
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
