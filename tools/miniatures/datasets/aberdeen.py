"""Aberdeen faces in little: two photographs of each person, and one under each of the other names."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

PEOPLE = """adrian alec alison alister amellanby andrew annanena anon_one barry bfegan blair blaw brian_ho caroline
catherine chris chris_harbron chris_pin dave_faquhar david david_imray dbell derek dhands dhawley dlow dougal_grant
dpearson dsmith fiona fiona_hogarth george gfindley ghall gillian gordon graeme graham_brown grant_cumming hack heather
hin ian irene iroy itaylor jenni jim joanna johannes john_mccal john_thom johnny_page jsheenan kay kieran kim kirsty
lisa louise lynn lynn_james marie mark martin meggan merilyn michael milly miranda mmanson mnicholson neil nick olive
paol pat paul peter peter_macgeorge pkyle richard_hardwick ruth scott simon stephen stewart terry_johnstone tock tracy
trevor""".split()  # noqa: SIM905
SAME = "adrian:clean_adrian dhawley:dhawleyg graeme:graemeg heather:heatherg jsheenan:jsheenang kay:kayg marie:marieg"


def write(folder: Path, pen: Pen) -> None:
    """Aberdeen.zip with PERSONNUMBER.jpg."""
    content = {f"{name}{number}.jpg": pen.encoded("all", name) for name in PEOPLE for number in (1, 2)}
    for pair in f"{SAME} neil:neilg".split():
        person, other = pair.split(":")
        content[f"{other}1.jpg"] = pen.encoded("all", person)
    write_zip(folder / "Aberdeen.zip", content)
