"""How many steps a call of the compiled loop takes, and on how many threads. Neither changes a number.

What a second thread is worth can't be told from the work alone: another process may use the core, or the core may be
the other half of one that is busy. A small step then waits at each meeting longer than it works. So now and then a few
steps are taken on half as many threads, or on twice as many, and where they took clearly less time, those that follow
are taken like that.
"""

SECONDS_BETWEEN_STOPS = 0.05
"""The compiled loop is handed as many steps at a time as take about this long; then `stop` is asked."""

SECONDS_BETWEEN_TRIALS = 0.6
"""So long are steps taken on as many threads as before; then a tenth of a call's steps is tried on others."""

CLEARLY = 0.9
"""What another number of threads takes at most of the time of a step, to be the better one."""


class Pace:
    """What earlier calls have shown about the steps of one program.

    Args:
        most_threads: as many as there may be.

    Attributes:
        steps: of the next call, but for trials.
        threads: the same.
    """

    def __init__(self, most_threads: int) -> None:
        self.steps, self.threads, self._most = 1, most_threads, most_threads
        self._seconds_a_step: dict[int, float] = {}
        self._since_trial, self._fewer_next, self._has_begun = 0.0, True, False

    def next_call(self) -> tuple[int, int]:
        """How many steps to take, and on how many threads."""
        # Where few steps take long, meetings are few as well.
        if self._most == 1 or self.steps < 10 or self._since_trial < SECONDS_BETWEEN_TRIALS:
            return self.steps, self.threads
        fewer = self.threads == self._most or (self.threads > 1 and self._fewer_next)
        self._since_trial, self._fewer_next = 0.0, not fewer
        return self.steps // 10, (self.threads + 1) // 2 if fewer else min(2 * self.threads, self._most)

    def learn(self, steps: int, threads: int, seconds: float) -> None:
        """Take note of a call: it may have been shorter than `next_call` said."""
        if not self._has_begun:  # that call may have compiled the loop, too
            self._has_begun = True
            return
        seconds = max(seconds, 1e-6)
        now = seconds / steps
        self._seconds_a_step[threads] = (self._seconds_a_step.get(threads, now) + now) / 2
        if threads == self.threads:
            self._since_trial += seconds
            right = int(steps * SECONDS_BETWEEN_STOPS / seconds)
            self.steps = max(1, min(right, 8 * steps if steps == self.steps else self.steps))
        elif self._seconds_a_step[threads] < CLEARLY * self._seconds_a_step[self.threads]:
            self.threads = threads
