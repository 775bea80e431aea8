"""An order survives whatever its process does not.

Each loop ends the client, cuts its connection or fills its disk at every point where it does something to the world: its
journal, the network, the token. Then the same command runs again until it is done, and what there is has to be what one
undisturbed run leaves: one order at the CA, one key with its certificate, nothing else. scripts/test samples the points
and prints how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from crash import Point, Scene, Story, visit
from p11e import P11KIT_CLIENT, Client, need, sample

KEPT = 24  # points of a loop that are visited without --full
TRIES = 4

pytestmark = pytest.mark.skipif(need("p11-kit", str(P11KIT_CLIENT)) is not None,
                                reason=str(need("p11-kit", str(P11KIT_CLIENT))))

ENROLL = ["enroll", "--name", "NAME"]


def sampled(points: list[Point]) -> list[Point]:
    return sample(points, KEPT)


def left(scene: Scene) -> list[tuple[str, bool]]:
    """The kinds of objects on the token, and whether the private key has that id."""
    found = scene.objects()
    keys = [o[2] for o in found if o[0] == "Private Key"]
    return sorted((o[0], o[2] in keys) for o in found)


def finish(scene: Scene, args: list[str], already: tuple[int, ...]) -> None:
    """Runs the command until it is done; `already`: how it says that it was done before."""
    said = []
    for _ in range(TRIES):
        done = scene.again(args)
        if done.returncode == 0 or done.returncode in already:
            return
        assert done.returncode > 0 and done.stderr.strip(), f"{done.returncode}: {done.stderr}"
        said.append(done.stderr.strip())
    raise AssertionError("it never ends: " + " / ".join(said))


def loop(client: Client, say: Callable[[str], None], what: str, story: Story, wanted: list[tuple[str, bool]],
         orders: int, already: tuple[int, ...]) -> None:
    def check(scene: Scene, point: Point) -> None:
        hit = scene.act(story.args, point, story.kinds)
        if point.action.startswith("kill"):
            assert hit.returncode in (-9, 0), f"{hit.returncode}: {hit.stderr}"
        finish(scene, story.args, already)
        at_ca = scene.orders()
        assert len(at_ca) == orders, f"{len(at_ca)} orders at the CA; first: {hit.returncode} {hit.stderr}"
        assert left(scene) == wanted, f"{left(scene)}; first: {hit.returncode} {hit.stderr}"
        listed = scene.client.json("order", "list")["orders"]
        assert [o["state"] for o in listed] == ["done"] * orders, listed

    points, visited = visit(client, story, sampled, check)
    kinds = Counter(p.kind for p in points)
    say(f"{what}: {len(visited)} of {len(points)} points visited "
        f"({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))})")
    assert len(visited) >= min(len(points), KEPT)


ONE = [("Certificate", False), ("Certificate", True), ("Private Key", True), ("Public Key", True)]


def test_enroll_killed_anywhere(client: Client, say: Callable[[str], None]) -> None:
    loop(client, say, "enroll", Story([], ENROLL, "", ["kill", "killafter"]), ONE, 1, (13,))
