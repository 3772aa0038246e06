"""Users of other keys, and an application that logs as soon as it is there."""
