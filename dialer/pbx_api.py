"""The routes of PBXs: empty one, use it again."""

from __future__ import annotations

from dialer.draining import drain
from dialer.handlers import Handler, NotFound
from dialer.live import utc_now


class PbxOrder(Handler):
    """No new calls through a PBX, or new calls again."""

    async def post(self, name: str, order: str) -> None:
        self.authorize()
        pbxs = self.dialer.engine.pbxs
        if name not in pbxs:
            raise NotFound(f"there is no PBX {name[:100]!r}; there are: {', '.join(pbxs)}")
        await drain(self.dialer.engine, name, self.who(), wanted=order == "drain")
        [now] = [one for one in pbxs.figures(utc_now()) if one["name"] == name]
        self.answer(now)
