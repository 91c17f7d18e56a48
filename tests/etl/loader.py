"""Run as a process that is killed: loads a saved job over and over, and says where it is."""

import sys

from b2brecs import Workspace
from b2brecs.backends.protocols import Home
from b2brecs.errors import RunFailed


class Talking:
    """A warehouse that says before and after each step, so that a kill can be aimed at it."""

    def __init__(self, warehouse):
        self._warehouse = warehouse

    def __getattr__(self, name):
        found = getattr(self._warehouse, name)
        if name not in ("stage", "commit", "differs"):
            return found

        def said(*args, **kwargs):
            print(f"before {name}", flush=True)
            answer = found(*args, **kwargs)
            print(f"after {name}", flush=True)
            return answer

        return said


def main(home: str, job: str) -> None:
    with Workspace.local(home) as ws:
        plain = ws.home
        ws.home = Home(**{**plain.__dict__, "warehouse": Talking(plain.warehouse)})
        print("ready", flush=True)
        while True:
            try:
                ws.run(job)
            except RunFailed as error:
                # A file that changes again and again while it is read.
                if "changed while it was read" not in str(error):
                    raise
            print("ran", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
