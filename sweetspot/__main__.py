"""Begin of the program: the command ``sweetspot``, and ``python -m sweetspot``."""

import signal


def run() -> None:
    """Load the program and start it; Ctrl-C meanwhile ends it as it ends other programs, not by a traceback."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell's background job ignores Ctrl-C
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sweetspot.command_line import start

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    start()


if __name__ == "__main__":
    run()
