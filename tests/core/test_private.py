"""F43 on Windows: whom an access list lets read. The lists are text of [MS-DTYP] 2.5.1, as `icacls` and Explorer make
them; the call that fetches one is not run here."""

from __future__ import annotations

import pytest

from devicebridge.private import _sddl_lets_others_read

OWNER = "S-1-5-21-1004336348-1177238915-682003330-1001"
OTHER = "S-1-5-21-1004336348-1177238915-682003330-1002"


@pytest.mark.parametrize(
    ("sddl", "exposed"),
    [
        ("O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)", False),
        (f"O:{OWNER}G:SYD:PAI(A;;FA;;;SY)(A;;FR;;;{OWNER})", False),
        ("O:BAG:SYD:P(A;;FR;;;S-1-5-80-3880718306-3832830129-1677859214-2598158968-1052248003)", False),  # a service
        ("O:BAG:SYD:P(A;;FR;;;LS)(A;;FR;;;NS)", False),
        ("O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)", True),  # inherited from C:\ProgramData
        ("O:BAG:SYD:(A;;FR;;;WD)", True),
        ("O:BAG:SYD:(A;;GR;;;AU)", True),
        ("O:BAG:SYD:(A;;0x1;;;BU)", True),
        ("O:BAG:SYD:(A;;0x100000;;;BU)", False),  # synchronise only
        ("O:BAG:SYD:(A;OICIIO;FA;;;BU)(A;;FA;;;SY)", False),  # for what is made below it, not for itself
        ("O:BAG:SYD:(D;;FA;;;BU)(A;;FA;;;SY)", False),
        (f"O:{OWNER}G:SYD:P(A;;FA;;;SY)(A;;FR;;;{OTHER})", True),
        ("O:BAG:SYD:NO_ACCESS_CONTROL", True),
        ("O:BAG:SY", True),  # no list at all: everyone
        ("O:BAG:SYD:", False),  # an empty one: nobody
        (None, False),
    ],
)
def test_f43_who_may_read(sddl: str | None, exposed: bool) -> None:
    assert _sddl_lets_others_read(sddl) is exposed
