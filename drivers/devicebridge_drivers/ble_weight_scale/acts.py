"""What a scale says of one weighing in several values, put together.

A scale with both services sends the weight first and then the composition, as a rule without a time or a user of its
own (captures of Beurer BF720 and BF788); a composition that does not fit one packet comes in two, of which the second
repeats the body fat and has neither (Body Composition Service 1.0, 3.2.1). What contradicts each other is not of one
weighing.
"""

from __future__ import annotations

from dataclasses import replace

from devicebridge.sdk import Name, Observation, Value

from .measurements import MORE

Group = tuple[Observation, ...]


def join(held: Group, new: Group) -> Group | None:
    """The two as one act; None where they are not."""
    composition = _composition(new)
    if composition is None or not _agree(held[0], composition):
        return None
    earlier = _composition(held)
    if earlier is not None:
        return _continued(held, earlier, composition, new)
    return _weighed(held, composition, new)


def _weighed(held: Group, composition: Observation, new: Group) -> Group | None:
    """A weight and its composition, in which weight and height would be there twice."""
    first = held[0]
    own, repeated = _named(first, Name.WEIGHT), _named(composition, Name.WEIGHT)
    if own is None or (repeated is not None and repeated != own):
        return None
    rest = tuple(value for value in composition.values if value.name is not Name.WEIGHT)
    body = replace(
        composition,
        values=rest,
        device_time=first.device_time,
        device_user=first.device_user,
        status=composition.status | first.status,
    )
    return (*held, body, *_others(held, new))


def _continued(held: Group, earlier: Observation, composition: Observation, new: Group) -> Group | None:
    """Two packets of one composition."""
    fat = _named(earlier, Name.BODY_FAT)
    added = tuple(value for value in composition.values if value.name is not Name.BODY_FAT)
    is_repeat = any(_named(earlier, value.name) is not None for value in added)
    if not (_is_part(earlier) and _is_part(composition)) or is_repeat or _named(composition, Name.BODY_FAT) != fat:
        return None
    if _named(held[0], Name.WEIGHT) is not None and earlier is not held[0]:
        added = tuple(value for value in added if value.name is not Name.WEIGHT)
    whole = replace(earlier, values=(*earlier.values, *added), raw=earlier.raw + composition.raw)
    return (*(whole if o is earlier else o for o in held), *_others(held, new))


def _others(held: Group, new: Group) -> Group:
    """What came beside the composition, a height, unless there is one."""
    return tuple(o for o in new if o.kind not in {h.kind for h in held} and _named(o, Name.BODY_FAT) is None)


def _agree(first: Observation, composition: Observation) -> bool:
    return composition.device_time in (None, first.device_time) and composition.device_user in (
        None,
        first.device_user,
    )


def _composition(group: Group) -> Observation | None:
    return next((o for o in group if _named(o, Name.BODY_FAT) is not None), None)


def _is_part(composition: Observation) -> bool:
    return bool(int.from_bytes(composition.raw[:2], "little") & MORE)


def _named(observation: Observation, name: Name) -> Value | None:
    return next((value for value in observation.values if value.name is name), None)
